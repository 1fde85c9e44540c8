// A ceremony in a folder, held by the program's own commands with keys in memory and answers by script.
import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { CeremonyKey } from '../../keys-ceremony/ceremony-key.ts';
import type { CeremonyContext } from '../../keys-ceremony/context.ts';
import type { HolderKey } from '../../keys-ceremony/holder-key.ts';
import { runCeremony } from '../../keys-ceremony/program.ts';
import { holderPublicKeyFile } from '../../keys-ceremony/public-key-file.ts';
import { ScriptedTerminal, type ScriptedAnswer } from '../../keys-ceremony/terminal-scripted.ts';
import { cleanMachine } from './ceremony-machine.ts';
import { NOW } from './genesis-repository.ts';

export interface Ran {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface HeldCeremony {
  readonly folder: string;
  readonly keys: ReadonlyMap<string, CeremonyKey>;
  /** Every seed that was made, as hex: none of them may ever be written anywhere. */
  readonly seeds: readonly string[];
  /**
   * Runs a command in the folder; `answers` are given to whatever is asked. With `boot`, what Linux calls this start of
   * a computer, it runs on one on which every check passes.
   */
  run(
    args: readonly string[],
    answers?: readonly ScriptedAnswer[],
    folder?: string,
    boot?: string,
  ): Promise<Ran>;
}

/** A folder with a plan for a genesis and three holders, two of whom sign. */
export async function plannedCeremony(folder: string, bins = 16): Promise<HeldCeremony> {
  const seeds: string[] = [];
  const random = (bytes: number): Uint8Array => {
    const made = createHash('sha256').update(`trial ${seeds.length}`).digest().subarray(0, bytes);
    seeds.push(made.toString('hex'));
    return made;
  };
  const keys = new Map<string, CeremonyKey>();
  await mkdir(join(folder, 'holders'), { recursive: true });
  for (const name of ['holder-1', 'holder-2', 'holder-3', 'online']) {
    const key = await CeremonyKey.generate(random);
    keys.set(name, key);
    const file = holderPublicKeyFile({ name, keyid: key.keyid, key: key.publicKey, made: 'file' });
    await writeFile(join(folder, name === 'online' ? 'online.pub.json' : `holders/${name}.pub.json`), file);
  }
  await writeFile(join(folder, 'plan.yaml'), PLAN.replace('BINS', String(bins)));
  return {
    folder,
    keys,
    seeds,
    run: (args, answers = [], place = folder, boot) => runIn(place, args, answers, keys, random, boot),
  };
}

const PLAN = `format: countersign-plan/1
ceremony: trial
kind: genesis
why: A first ceremony, to see what it leaves behind.
date: ${new Date(NOW).toISOString().slice(0, 19)}Z
next-ceremony: ${new Date(NOW + 300 * 86_400_000).toISOString().slice(0, 10)}
holders:
  holder-1: { key: holders/holder-1.pub.json }
  holder-2: { key: holders/holder-2.pub.json }
  holder-3: { key: holders/holder-3.pub.json }
root: { threshold: 2, expires-in: 365d }
targets: { one-time-keys: 2, expires-in: 365d }
bins: { one-time-keys: 2, expires-in: 365d, count: BINS, format: succinct }
online: [{ key: online.pub.json }]
`;

/** The commands up to bundle.json; two holders sign. */
export async function heldCeremony(folder: string): Promise<HeldCeremony> {
  const held = await plannedCeremony(folder);
  const done = async (...args: readonly string[]): Promise<string> => {
    const { status, stdout, stderr } = await held.run(args);
    if (status !== 0) throw new Error(`${args.join(' ')}: ${stderr}`);
    return stdout;
  };
  await done('plan', 'check');
  await done('one-time');
  const { phrase } = JSON.parse(await done('build', '--json')) as { phrase: string };
  await done('sign', '--key', 'holder-1', '--code', phrase);
  await done('sign', '--key', 'holder-2', '--code', phrase);
  await done('verify');
  await done('bundle');
  return held;
}

async function runIn(
  folder: string,
  args: readonly string[],
  answers: readonly ScriptedAnswer[],
  keys: ReadonlyMap<string, CeremonyKey>,
  random: (bytes: number) => Uint8Array,
  boot: string | undefined,
): Promise<Ran> {
  const out: string[] = [];
  const err: string[] = [];
  const terminal = new ScriptedTerminal(answers, (line) => err.push(`${line}\n`));
  const context: CeremonyContext = {
    cwd: folder,
    stdout: collect(out),
    stderr: collect(err),
    clock: { now: () => NOW, sleep: () => Promise.resolve() },
    random,
    terminal,
    ...(boot === undefined
      ? {}
      : { machine: cleanMachine({ files: { '/proc/sys/kernel/random/boot_id': boot } }) }),
    workFactor: 10,
    openKey: (reference) => Promise.resolve(holderKey(keys, reference)),
  };
  const status = await runCeremony(args, context);
  return { status, stdout: out.join(''), stderr: err.join('') };
}

function holderKey(keys: ReadonlyMap<string, CeremonyKey>, reference: string): HolderKey {
  const key = keys.get(reference.slice(reference.lastIndexOf('/') + 1));
  if (key === undefined) throw new Error(`no key ${reference}`);
  return {
    keyid: key.keyid,
    publicKey: key.publicKey,
    origin: 'file',
    sign: (message) => key.sign(message),
    forget: () => undefined,
  };
}

function collect(chunks: string[]): Writable {
  return new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      chunks.push(chunk.toString());
      done();
    },
  });
}
