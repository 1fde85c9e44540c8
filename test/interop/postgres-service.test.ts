// The built programs on PostgreSQL: founded, served by two nodes, one of them killed in the middle of publications, and
// judged by fsck.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { eventually } from '../support/publisher-process.ts';
import { tempDir } from '../support/temp-dir.ts';
import { PASSWORD, startPostgres, type PostgresServer } from '../../scripts/interop/postgres-server.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const CEREMONY = fileURLToPath(new URL('../../dist/keys-ceremony/main.js', import.meta.url));

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server.stop());

interface Node {
  readonly child: ChildProcess;
  readonly ended: Promise<[number | null]>;
  /** Sends events that add one target each; with `seconds` waits until they are published. */
  accept(count: number, tag: string, seconds?: number): Promise<string[]>;
  states(ids: readonly string[]): Promise<string[]>;
}

test('two nodes on one ledger: what either accepts is published, whoever is killed', async () => {
  const index = await found();
  let [first, second] = [await index.serve(), await index.serve()];
  const ids: string[] = [];
  const took: number[] = [];
  for (let round = 0; round < 20; round++) {
    for (const [number, node] of [first, second].entries()) {
      const startedAt = systemClock.now();
      ids.push(...(await node.accept(3, `waited-${round}-${number}`, 30)));
      took.push(systemClock.now() - startedAt);
    }
  }
  took.sort((a, b) => a - b);
  console.log(`upload until public, from both nodes: median ${took[20]} ms, 95 % ${took[37]} ms`);
  for (let round = 0; round < 3; round++) {
    for (let batch = 0; batch < 4; batch++) ids.push(...(await second.accept(5, `killed-${round}-${batch}`)));
    // The one that publishes is killed with a batch half-way; the other one takes over.
    first.child.kill('SIGKILL');
    await first.ended;
    [first, second] = [second, await index.serve()];
  }
  await server.crash();
  await eventually('all events are published', async () => {
    const states = await second.states(ids).catch((): string[] => ['unavailable']);
    return states.every((state) => state === 'published');
  });
  for (const { child, ended } of [first, second]) {
    child.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
  }
  expect(await index.run('fsck', '--json')).toMatch(/"violations": \[\]/);
});

async function found() {
  const folder = path.join(await tempDir(), 'index');
  const { port, user, database } = await server.createDatabase('service');
  const env = {
    ...process.env,
    COUNTERSIGN_LEDGER: `postgres://${user}@127.0.0.1:${port}/${database}`,
    COUNTERSIGN_LEDGER_PASSWORD: PASSWORD,
    COUNTERSIGN_LISTEN: '127.0.0.1:0',
    COUNTERSIGN_LOG_LEVEL: 'fatal',
  };
  const start = (program: string, ...args: string[]): ChildProcess => {
    const cwd = program === CEREMONY ? path.dirname(folder) : folder;
    const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: 'pipe' });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  };
  const finish = async (program: string, ...args: string[]): Promise<string> => {
    const child = start(program, ...args);
    const [said, complained, [code]] = await Promise.all([
      text(child.stdout!),
      text(child.stderr!),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${String(code)}: ${complained}${said}`);
    return said;
  };
  await finish(CEREMONY, 'rehearse', '--out', folder, '--bins', '256', '--json');
  await finish(PROGRAM, 'bootstrap', 'bundle.json', '--json');

  const serve = async (): Promise<Node> => {
    const child = start(PROGRAM, 'serve', '--json');
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
          const name = `packages/${tag}/demo-${number}.whl`;
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
  };
  return { serve, run: (...args: string[]) => finish(PROGRAM, ...args) };
}
