// An index of the built programs in a folder of its own, on whatever servers its environment names: founded as an operator
// does it, served by as many nodes as are started, and commands run beside them.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { tempDir } from '../support/temp-dir.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const CEREMONY = fileURLToPath(new URL('../../dist/keys-ceremony/main.js', import.meta.url));

export interface InstalledIndex {
  readonly folder: string;
  /** A command that goes on; killed when the test ends. */
  readonly start: (...args: string[]) => ChildProcess;
  /** What a command says that succeeds. */
  readonly run: (...args: string[]) => Promise<string>;
}

export interface Founding {
  readonly bins: number;
  /** `COUNTERSIGN_…` and credentials. */
  readonly settings: Readonly<Record<string, string>>;
  /** Makes the folder with its bundle, in the place of a rehearsal; answers what the environment gets beside. */
  readonly prepare?: (folder: string) => Promise<Record<string, string>>;
}

/** Founds an index within the running test. */
export async function installIndex({ bins, settings, prepare }: Founding): Promise<InstalledIndex> {
  const folder = path.join(await tempDir(), 'index');
  const env = { ...process.env, COUNTERSIGN_LISTEN: '127.0.0.1:0', ...settings };
  const start = (program: string, args: readonly string[]): ChildProcess => {
    const cwd = program === CEREMONY ? path.dirname(folder) : folder;
    const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: 'pipe' });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  };
  const finish = async (program: string, args: readonly string[]): Promise<string> => {
    const child = start(program, args);
    const [said, complained, [code]] = await Promise.all([
      text(child.stdout!),
      text(child.stderr!),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${String(code)}: ${complained}${said}`);
    return said;
  };
  if (prepare === undefined) {
    await finish(CEREMONY, ['rehearse', '--out', folder, '--bins', String(bins), '--json']);
  } else Object.assign(env, await prepare(folder));
  await finish(PROGRAM, ['bootstrap', 'bundle.json', '--json']);
  return {
    folder,
    start: (...args) => start(PROGRAM, args),
    run: (...args) => finish(PROGRAM, args),
  };
}

export interface ServedNode {
  readonly child: ChildProcess;
  readonly ended: Promise<[number | null]>;
  /** Sends events that add one target each; with `seconds` waits until they are published. */
  accept(count: number, tag: string, seconds?: number): Promise<string[]>;
  states(ids: readonly string[]): Promise<string[]>;
}

/** A node that listens, and those who send to it. */
export async function serveIndex(index: InstalledIndex): Promise<ServedNode> {
  const child = index.start('serve', '--json');
  const ended = once(child, 'close') as Promise<[number | null]>;
  child.stderr?.resume();
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      const address = /"address": "([^"]+)"/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
    void ended.then(() => {
      reject(new Error('serve ended before it listened'));
    });
  });
  return {
    child,
    ended,
    accept: async (count, tag, seconds) => {
      const events = Array.from({ length: count }, (_, number) => {
        const name = `packages/${tag}/demo-${number}+x.whl`;
        const hashes = { sha256: sha256Hex(name) };
        return { id: `${tag}-${number}`, changes: [{ op: 'add', path: name, length: 1, hashes }] };
      });
      const prefer = seconds === undefined ? undefined : { prefer: `wait=${seconds}` };
      const response = await fetch(`${url}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...prefer },
        body: JSON.stringify({ events }),
      });
      expect(response.status).toBe(seconds === undefined ? 202 : 200);
      return events.map(({ id }) => id);
    },
    states: (ids) =>
      Promise.all(
        ids.map(async (id) => {
          const response = await fetch(`${url}/v1/events/${id}`);
          return ((await response.json()) as { state?: string }).state ?? `status ${response.status}`;
        }),
      ),
  };
}
