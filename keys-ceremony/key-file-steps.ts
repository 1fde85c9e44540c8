// Making, showing and restoring a holder's key, step by step: look at the computer, look at where everything will go,
// ask, and only then touch the key.
import path from 'node:path';
import { CountersignError, hasCode } from '../src/lib/errors.ts';
import { keyId } from '../src/tuf/keys.ts';
import type { PublicKey } from '../src/tuf/metadata.ts';
import { FILES, MAX_BYTES, publicKeyFile, readIfPresent } from './ceremony-folder.ts';
import { clientsThatCannotRead } from './client-support.ts';
import type { CeremonyContext } from './context.ts';
import { FileKey, writeKeyFile, type KeyAlgorithm } from './key-file.ts';
import { checkName, newKeyFile } from './key-file-places.ts';
import { mediumWarning } from './medium.ts';
import { openHolderKey } from './open-key.ts';
import { askForShares } from './paper-backup-restore.ts';
import { parsePlan } from './parse-plan.ts';
import { choosePassphrase } from './passphrase-choice.ts';
import { holderPublicKeyFile, parseHolderPublicKey, type HolderPublicKey } from './public-key-file.ts';
import { guard, type AcceptOptions } from './self-check-guard.ts';
import type { SelfCheck } from './self-check.ts';
import { record } from './session.ts';
import type { Terminal } from './terminal.ts';
import { makeTokenKey } from './token-key.ts';
import type { TranscriptStep } from './transcript-steps.ts';
import { writeOnce } from './write-file.ts';

export interface KeyReport {
  readonly keyid: string;
  readonly key: PublicKey;
  readonly serial?: string;
  /** The private file that was written. */
  readonly file?: string;
  /** The public one. */
  readonly publicFile?: string;
  /** Exceptions of the self-check. */
  readonly accepted: readonly { readonly check: string; readonly reason: string }[];
}

export interface NewKey extends AcceptOptions {
  readonly name: string;
  readonly algorithm: KeyAlgorithm;
  /** Absolute; for a key in a file. */
  readonly out?: string;
  /** For a key on a token. */
  readonly token?: string;
}

/**
 * Makes a holder's key.
 * @throws CountersignError `usage`, `self-check-failed`, `file-exists`, `interrupted`, and those of files and tokens.
 */
export async function generateHolderKey(
  context: CeremonyContext,
  folder: string,
  wanted: NewKey,
): Promise<KeyReport> {
  const { name, algorithm, out, token } = wanted;
  checkName(name);
  if ((out === undefined) === (token === undefined)) {
    throw new CountersignError('usage', 'give either --out DIR for a key in a file, or --token URI');
  }
  const terminal = terminalOf(context);
  const check = await guard(context, wanted, { workFolder: folder });
  await refusePublicFile(folder, name);
  if (out === undefined || token !== undefined) {
    const made = await makeTokenKey(token ?? '', algorithm, terminal);
    return keep(context, folder, check, { name, key: made.publicKey, made: 'token', serial: made.serial }, [
      { step: 'key-made', name, keyid: made.keyid, made: 'token', algorithm, serial: made.serial },
    ]);
  }
  const file = await newKeyFile(out, name, folder);
  await sayUnlessMedium(terminal, out, folder);
  const key = await FileKey.generate(algorithm, context.random);
  const lost = clientsThatCannotRead(key.publicKey);
  if (lost.length > 0) {
    terminal.say(
      `${lost.join(' and ')} cannot read a key of the kind ${algorithm}: a plan that names it has to allow it`,
    );
  }
  try {
    await protect(context, terminal, key, name, file);
    return await keep(context, folder, check, { name, key: key.publicKey, made: 'file', file }, [
      { step: 'key-made', name, keyid: key.keyid, made: 'file', algorithm },
    ]);
  } finally {
    key.forget();
  }
}

/**
 * The public part of a key, and its file when a name is given.
 * @throws CountersignError as `generateHolderKey`.
 */
export async function showHolderKey(
  context: CeremonyContext,
  folder: string,
  reference: string,
  { name, accept }: AcceptOptions & { readonly name?: string },
): Promise<KeyReport> {
  if (name !== undefined) checkName(name);
  const terminal = terminalOf(context);
  const check = await guard(context, { ...(accept === undefined ? {} : { accept }) }, { workFolder: folder });
  const key = await openHolderKey(reference, terminal);
  const { keyid, publicKey, serial } = key;
  key.forget();
  const made = key.origin === 'token' ? 'token' : 'file';
  const part = { key: publicKey, made, ...(serial === undefined ? {} : { serial }) } as const;
  if (name === undefined) return { keyid, ...part, accepted: exceptions(check) };
  return keep(context, folder, check, { name, ...part }, [{ step: 'key-shown', name, keyid }]);
}

/**
 * Puts a key file together from shares on paper.
 * @throws CountersignError `share-invalid`, `key-mismatch` when the folder knows the holder by another key, and as
 *   `generateHolderKey`.
 */
export async function restoreHolderKey(
  context: CeremonyContext,
  folder: string,
  { name, out, ...options }: AcceptOptions & { readonly name: string; readonly out: string },
): Promise<KeyReport> {
  const terminal = terminalOf(context);
  const check = await guard(context, options, { workFolder: folder });
  const file = await newKeyFile(out, name, folder);
  await sayUnlessMedium(terminal, out, folder);
  const key = await askForShares(terminal);
  try {
    const known = await readIfPresent(folder, publicKeyFile(name), MAX_BYTES.publicKey);
    if (known !== undefined) {
      const { keyid } = parseHolderPublicKey(known, publicKeyFile(name));
      if (keyid !== key.keyid) {
        throw new CountersignError(
          'key-mismatch',
          `the shares give key ${key.keyid}, but ${name} has key ${keyid} in this ceremony`,
        );
      }
    }
    await protect(context, terminal, key, name, file);
    return await keep(context, folder, check, { name, key: key.publicKey, made: 'file', file }, [
      { step: 'key-restored', keyid: key.keyid },
    ]);
  } finally {
    key.forget();
  }
}

/** Before anything is asked: the only copy of a key must not be where it is gone tonight. */
async function sayUnlessMedium(terminal: Terminal, out: string, folder: string): Promise<void> {
  const warning = await mediumWarning(out, folder);
  if (warning !== undefined) terminal.say(warning);
}

async function protect(
  { random, workFactor }: CeremonyContext,
  terminal: Terminal,
  key: FileKey,
  name: string,
  file: string,
): Promise<void> {
  const passphrase = await choosePassphrase(`the key of ${name}`, terminal, random);
  terminal.say(`encrypting the key and opening it again, to be sure; this takes some seconds`);
  await writeKeyFile(file, key, passphrase, workFactor);
}

type Public = Omit<HolderPublicKey, 'keyid'> & { readonly file?: string };

/** Writes the public part, then what the transcript says of it. */
async function keep(
  context: CeremonyContext,
  folder: string,
  check: SelfCheck,
  { file, ...part }: Public,
  steps: readonly TranscriptStep[],
): Promise<KeyReport> {
  const keyid = keyId(part.key);
  const publicFile = publicKeyFile(part.name);
  await writeOnce(folder, publicFile, holderPublicKeyFile({ ...part, keyid }));
  await recordIfPlanned(context, folder, [...check.steps, ...steps]);
  const { key, serial } = part;
  return {
    keyid,
    key,
    ...(serial === undefined ? {} : { serial }),
    ...(file === undefined ? {} : { file }),
    publicFile: path.join(folder, publicFile),
    accepted: exceptions(check),
  };
}

/** Keys are often made before there is a plan, at home: then there is no ceremony whose transcript could say so. */
export async function recordIfPlanned(
  context: CeremonyContext,
  folder: string,
  steps: readonly TranscriptStep[],
): Promise<void> {
  const plan = await readIfPresent(folder, FILES.plan, MAX_BYTES.plan);
  if (plan === undefined) return;
  let ceremony: string;
  try {
    ({ ceremony } = parsePlan(plan));
  } catch (error) {
    // A plan that is still being written.
    if (hasCode(error, 'plan-invalid')) return;
    throw error;
  }
  for (const step of steps) await record(context, folder, ceremony, step);
}

async function refusePublicFile(folder: string, name: string): Promise<void> {
  if ((await readIfPresent(folder, publicKeyFile(name), MAX_BYTES.publicKey)) === undefined) return;
  throw new CountersignError(
    'file-exists',
    `${path.join(folder, publicKeyFile(name))} exists already: ${name} has a key in this ceremony`,
  );
}

/** @throws CountersignError `usage` when nobody can answer. */
export function terminalOf({ terminal }: CeremonyContext): Terminal {
  if (terminal?.isInteractive === true) return terminal;
  throw new CountersignError(
    'usage',
    'there is no terminal: passphrases and PINs are typed by a person, never given as an option, a variable or a pipe',
  );
}

function exceptions({ findings }: SelfCheck): { check: string; reason: string }[] {
  return findings.flatMap(({ check, accepted }) =>
    accepted === undefined ? [] : [{ check, reason: accepted }],
  );
}
