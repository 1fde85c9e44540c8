// What a transcript can say: a closed list of steps, each with a closed list of facts, each of one narrow kind. There is
// no field in which a passphrase, a PIN or a seed could stand by mistake: digests and key ids are asked for by name, and
// the only text that people type is the reason of an exception or of an abort, which is asked for as public.
import { CountersignError } from '../src/lib/errors.ts';
import type { JsonMap, JsonValue } from '../src/tuf/json.ts';

/** Kinds of facts, as they stand in a line. */
interface FactTypes {
  /** SHA-256 of public bytes, 64 hex digits. */
  readonly sha256: string;
  /** SHA-256 of a public key. */
  readonly keyid: string;
  readonly keyids: readonly string[];
  /** Public, 16 hex digits: tells computers, and their transcripts, apart. */
  readonly id: string;
  /** Letters, digits, dot and dash: a holder, a role, a command, a check, an error code. */
  readonly name: string;
  readonly names: readonly string[];
  /** A file of the ceremony's folder, relative to it. */
  readonly file: string;
  /** Words of the phrase that is read aloud. */
  readonly phrase: string;
  readonly version: string;
  readonly count: number;
  /** Of a token, printable ASCII. */
  readonly serial: string;
  /** One line that a person wrote for the record. */
  readonly reason: string;
}

type FactKind = keyof FactTypes;

const NAME = /^[A-Za-z0-9][A-Za-z0-9.-]{0,63}$/;
const HEX_64 = /^[0-9a-f]{64}$/;
/** Items in a list of a line: more than any ceremony has holders or exceptions. */
const MAX_ITEMS = 128;

const FITS: Readonly<Record<FactKind, (value: JsonValue) => boolean>> = {
  sha256: matches(HEX_64),
  keyid: matches(HEX_64),
  keyids: eachMatches(HEX_64),
  id: matches(/^[0-9a-f]{16}$/),
  name: matches(NAME),
  names: eachMatches(NAME),
  file: matches(/^(?!\.)[A-Za-z0-9._-]+(?:\/(?!\.)[A-Za-z0-9._-]+){0,3}$/),
  phrase: matches(/^[a-z]{2,12}(?: [a-z]{2,12}){1,23}$/),
  version: matches(/^\d{1,4}\.\d{1,4}\.\d{1,4}(?:-[0-9a-z.]{1,20})?$/),
  count: (value) => typeof value === 'number' && value >= 0,
  serial: matches(/^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/),
  // No control characters, which could also move the cursor of whoever reads it.
  reason: matches(/^[^\p{Cc}\p{Zl}\p{Zp}]{1,500}$/u),
};

/** Every step and its facts. A kind in a list of one may be left out. */
const STEPS = {
  /** The first line of every transcript. */
  begun: {
    format: 'name',
    transcript: 'id',
    computer: 'id',
    /** Absent from transcripts of older versions. */
    folder: ['id'],
    ceremony: 'name',
    version: 'version',
    tool: 'sha256',
  },
  /** Bytes before this line were cut off, by a power cut or a full disk; nothing of them counts. */
  recovered: { bytes: 'count', sha256: 'sha256' },
  /** Any command that ended with an error of the catalogue. */
  refused: { command: 'name', code: 'name' },
  'self-check': { passed: 'names', failed: 'names', tool: 'sha256' },
  /** A check that failed, and why those present went on. */
  accepted: { check: 'name', reason: 'reason' },
  'plan-written': { file: 'file', sha256: 'sha256' },
  'plan-checked': { plan: 'sha256', warnings: 'names' },
  'key-made': { name: 'name', keyid: 'keyid', made: 'name', algorithm: 'name', serial: ['serial'] },
  'key-shown': { name: 'name', keyid: 'keyid' },
  'key-backed-up': { keyid: 'keyid', shares: 'count', threshold: 'count' },
  'key-restored': { keyid: 'keyid' },
  /** One-time keys of a role: made, used for this many signatures, overwritten. */
  'one-time': { role: 'name', keyids: 'keyids', sha256: 'sha256' },
  built: { plan: 'sha256', payload: 'sha256', phrase: 'phrase' },
  signed: { payload: 'sha256', role: 'name', version: 'count', keyid: 'keyid', file: 'file' },
  merged: { file: 'file', sha256: 'sha256' },
  verified: { payload: 'sha256', bundle: ['sha256'] },
  bundled: { payload: 'sha256', bundle: 'sha256' },
  aborted: { reason: 'reason' },
  recorded: { text: 'sha256', page: 'sha256' },
  exported: { kind: 'name', files: 'count', sha256: 'sha256' },
  /** A holder signed the transcripts up to these heads. */
  'transcript-signed': { keyid: 'keyid', statement: 'sha256' },
} as const satisfies Readonly<Record<string, Readonly<Record<string, FactKind | readonly [FactKind]>>>>;

type Steps = typeof STEPS;
export type StepName = keyof Steps;

type Facts<F> = {
  readonly [N in keyof F as F[N] extends FactKind ? N : never]: F[N] extends FactKind
    ? FactTypes[F[N]]
    : never;
} & {
  readonly [N in keyof F as F[N] extends readonly [FactKind] ? N : never]?: F[N] extends readonly [
    infer K extends FactKind,
  ]
    ? FactTypes[K] | undefined
    : never;
};

/** What one line says, as `Transcript.append` takes it. */
export type TranscriptStep = { readonly [S in StepName]: { readonly step: S } & Facts<Steps[S]> }[StepName];

/**
 * Reads the step of a line; `common` names the members that every line has.
 * @throws CountersignError `transcript-invalid` for an unknown step, a fact that the step does not have, a missing one,
 *   and one of another kind.
 */
export function readStep(line: JsonMap, common: readonly string[]): TranscriptStep {
  const step = line.get('step');
  if (typeof step !== 'string' || !Object.hasOwn(STEPS, step))
    throw invalid(`the step ${say(step)} is unknown`);
  const facts: Readonly<Record<string, FactKind | readonly [FactKind]>> = STEPS[step as StepName];
  for (const name of line.keys()) {
    if (!common.includes(name) && !Object.hasOwn(facts, name)) {
      throw invalid(`step ${step} has no fact ${JSON.stringify(name.slice(0, 60))}`);
    }
  }
  const read: [string, unknown][] = [['step', step]];
  for (const [name, form] of Object.entries(facts)) {
    const value = line.get(name);
    const kind: FactKind = typeof form === 'string' ? form : form[0];
    if (value === undefined && typeof form !== 'string') continue;
    // The value itself stays out of the message: it may be what should never have been there.
    if (value === undefined || !FITS[kind](value))
      throw invalid(`fact ${name} of step ${step} is not a ${kind}`);
    read.push([name, value]);
  }
  return Object.fromEntries(read) as unknown as TranscriptStep;
}

function matches(pattern: RegExp): (value: JsonValue) => boolean {
  return (value) => typeof value === 'string' && pattern.test(value);
}

function eachMatches(pattern: RegExp): (value: JsonValue) => boolean {
  const fits = matches(pattern);
  return (value) =>
    Array.isArray(value) && value.length <= MAX_ITEMS && (value as readonly JsonValue[]).every(fits);
}

function say(value: JsonValue | undefined): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 60)) : 'of this line';
}

function invalid(problem: string): CountersignError {
  return new CountersignError('transcript-invalid', problem);
}
