// People who hold a ceremony: each has a computer, a folder and a key, and nothing but files goes from one to another.
// Keys follow from names and time stands still.
import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { Writable } from 'node:stream';
import type { CeremonyKey } from '../../keys-ceremony/ceremony-key.ts';
import type { HolderKey, OpenHolderKey } from '../../keys-ceremony/holder-key.ts';
import { runCeremony } from '../../keys-ceremony/program.ts';
import { holderPublicKeyFile } from '../../keys-ceremony/public-key-file.ts';
import { ScriptedTerminal, type ScriptedAnswer } from '../../keys-ceremony/terminal-scripted.ts';
import type { Signer } from '../../src/signing/signer.ts';
import { formatExpires } from '../../src/tuf/lifetimes.ts';
import { NOW, testKey } from './genesis-repository.ts';

const DAY_MS = 86_400_000;

/** The key of a person, by name. */
export async function heldKey(name: string): Promise<HolderKey> {
  const key: CeremonyKey = await testKey(`held by ${name}`);
  return {
    keyid: key.keyid,
    publicKey: key.publicKey,
    origin: 'file',
    sign: (message) => key.sign(message),
    forget: () => {
      key.forget();
    },
  };
}

/** The same key as a signer of the service. */
export async function heldSigner(name: string): Promise<Signer> {
  const key = await testKey(`held by ${name}`);
  return {
    keyid: key.keyid,
    publicKey: key.publicKey,
    sign: async (messages) => {
      const signatures = await Promise.all(messages.map((message) => key.sign(message)));
      return signatures.map(({ sig }) => Buffer.from(sig, 'hex'));
    },
    close: () => Promise.resolve(),
  };
}

export interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** One computer with one folder. */
export class Computer {
  readonly folder: string;
  /** Milliseconds since the epoch. */
  now = NOW;
  /** Of holders whose key does not follow from their name. */
  readonly keys = new Map<string, HolderKey>();
  /** By default a key is in memory, and follows from the last part of its reference. */
  openKey: OpenHolderKey = async (reference) =>
    this.keys.get(basename(reference)) ?? heldKey(basename(reference));
  /** Follows from the folder, and never repeats itself. */
  random: (bytes: number) => Uint8Array;

  constructor(folder: string) {
    this.folder = folder;
    const seed = folder.split('/').slice(-2).join(' ');
    let draws = 0;
    this.random = (bytes) =>
      createHash('sha512')
        .update(`${seed} ${(draws += 1)}`)
        .digest()
        .subarray(0, bytes);
  }

  /** Runs a command in the folder; `answers` are typed at the terminal. */
  async run(args: readonly string[], answers: readonly ScriptedAnswer[] = []): Promise<Run> {
    const [out, err]: [string[], string[]] = [[], []];
    const status = await runCeremony(args, {
      cwd: this.folder,
      stdout: collect(out),
      stderr: collect(err),
      clock: { now: () => this.now, sleep: () => Promise.resolve() },
      random: this.random,
      terminal: new ScriptedTerminal(answers, (line) => err.push(`${line}\n`)),
      openKey: this.openKey,
    });
    return { status, stdout: out.join(''), stderr: err.join('') };
  }

  /** Runs a command that must succeed; its document. */
  async ask(...args: readonly string[]): Promise<Record<string, unknown>> {
    const { status, stdout, stderr } = await this.run([...args, '--json']);
    if (status !== 0) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
    return JSON.parse(stdout) as Record<string, unknown>;
  }

  /** Runs a command that must be refused: code and message. */
  async refused(...args: readonly string[]): Promise<{ code: string; message: string }> {
    const { status, stdout } = await this.run([...args, '--json']);
    if (status === 0) throw new Error(`${args.join(' ')} was not refused: ${stdout}`);
    return (JSON.parse(stdout) as { error: { code: string; message: string } }).error;
  }

  read(name: string): Promise<Buffer> {
    return readFile(join(this.folder, name));
  }

  async write(name: string, content: string | Uint8Array): Promise<void> {
    await rm(join(this.folder, name), { force: true });
    await writeFile(join(this.folder, name), content);
  }

  /** A copy of the folder, as a stick brings it, on another computer; without the transcript of this one. */
  async copyTo(folder: string): Promise<Computer> {
    await cp(this.folder, folder, { recursive: true, filter: (name) => !name.includes('transcript') });
    await chmod(folder, 0o700);
    const copy = new Computer(folder);
    copy.now = this.now;
    return copy;
  }
}

function collect(chunks: string[]): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk.toString());
      done();
    },
  });
}

export interface PlanOptions {
  readonly kind?: 'genesis' | 'update';
  readonly holders?: readonly string[];
  readonly root?: string;
  readonly targets?: string;
  readonly bins?: string;
  readonly online?: readonly string[];
  /** Kinds of keys, for `allow-algorithms`. */
  readonly allow?: string;
  /** Days after NOW. */
  readonly day?: number;
}

export const ONE_TIME = '{ one-time-keys: 2, expires-in: 365d }';
export const ONE_TIME_BINS = '{ one-time-keys: 2, expires-in: 365d, count: 4, format: succinct }';

export function planText(ceremony: string, options: PlanOptions = {}): string {
  const { kind = 'genesis', holders = ['holder-1', 'holder-2', 'holder-3'], day = 0 } = options;
  const date = NOW + day * DAY_MS;
  return [
    'format: countersign-plan/1',
    `ceremony: ${ceremony}`,
    `kind: ${kind}`,
    'why: A test of the ceremony.',
    `date: ${formatExpires(date)}`,
    `next-ceremony: ${formatExpires(date + 300 * DAY_MS)}`,
    `holders:${holders.length === 0 ? ' {}' : ''}`,
    ...holders.map((name) => `  ${name}: { key: holders/${name}.pub.json }`),
    `root: ${options.root ?? '{ threshold: 2, expires-in: 365d }'}`,
    `targets: ${options.targets ?? ONE_TIME}`,
    `bins: ${options.bins ?? ONE_TIME_BINS}`,
    ...(options.allow === undefined ? [] : [`allow-algorithms: [${options.allow}]`]),
    `online: [${(options.online ?? ['online-1']).map((name) => `{ key: ${name}.pub.json }`).join(', ')}]`,
    '',
  ].join('\n');
}

/** A folder with a plan, the keys that it names, and the bundle before it. */
export async function foundCeremony(
  folder: string,
  ceremony: string,
  options: PlanOptions = {},
  previous?: Uint8Array,
): Promise<Computer> {
  const { holders = ['holder-1', 'holder-2', 'holder-3'], online = ['online-1'], day = 0 } = options;
  await mkdir(join(folder, 'holders'), { recursive: true });
  const computer = new Computer(folder);
  computer.now = NOW + day * DAY_MS;
  await computer.write('plan.yaml', planText(ceremony, options));
  for (const name of holders) await computer.write(`holders/${name}.pub.json`, await publicKeyFile(name));
  for (const name of online) await computer.write(`${name}.pub.json`, await publicKeyFile(name));
  if (previous !== undefined) await computer.write('previous.json', previous);
  return computer;
}

export async function publicKeyFile(name: string): Promise<string> {
  const { keyid, publicKey } = await heldKey(name);
  return holderPublicKeyFile({ name, keyid, key: publicKey, made: 'file' });
}

/**
 * Holds a ceremony to its end: one computer builds, each signer signs on a copy of the folder on a computer of their
 * own, and the copies come back.
 */
export async function holdCeremony(
  folder: string,
  ceremony: string,
  signers: readonly string[],
  options: PlanOptions = {},
  previous?: Uint8Array,
): Promise<Computer> {
  const office = await foundCeremony(`${folder}/office`, ceremony, options, previous);
  await office.ask('plan', 'check');
  const text = await office.read('plan.yaml');
  if (text.includes('one-time-keys')) await office.ask('one-time');
  const { phrase } = (await office.ask('build')) as { phrase: string };
  for (const signer of signers) {
    const computer = await office.copyTo(`${folder}/${signer}`);
    const built = await computer.ask('build');
    if (built['phrase'] !== phrase)
      throw new Error(`${signer} reads ${String(built['phrase'])}, not ${phrase}`);
    await computer.ask('sign', '--key', signer, '--code', phrase);
  }
  // In another order than they signed in.
  if (signers.length > 0)
    await office.ask('merge', ...[...signers].reverse().map((name) => `${folder}/${name}`));
  await office.ask('verify');
  await office.ask('bundle');
  return office;
}
