// All transcripts in the folder of a ceremony: this computer's own, and those that others brought.
import path from 'node:path';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { foreignTranscriptFile, listFolder, readRegularFile } from './ceremony-folder.ts';
import { MAX_TRANSCRIPT_BYTES, verifyTranscript, type VerifiedTranscript } from './transcript-chain.ts';
import { TRANSCRIPT_FILE } from './transcript.ts';

export interface TranscriptOfComputer {
  /** Name in the folder. */
  readonly file: string;
  /** Of its first line; random, so that no two computers have the same. */
  readonly id: string;
  readonly ceremony: string;
  readonly verified: VerifiedTranscript;
}

const FOREIGN = /^transcript\.[A-Za-z0-9-]{1,64}\.ndjson$/;

/**
 * Every transcript in the folder, verified, in the order of their ids. Two copies of one transcript are taken for one
 * when the shorter is a beginning of the longer.
 * @throws CountersignError `transcript-invalid` that names the file and the line.
 */
export async function readTranscripts(folder: string): Promise<TranscriptOfComputer[]> {
  const found = new Map<string, TranscriptOfComputer>();
  const names = (await listFolder(folder, '.')).filter(
    (name) => name === TRANSCRIPT_FILE || FOREIGN.test(name),
  );
  for (const file of names) {
    const bytes = await readRegularFile(path.join(folder, file), MAX_TRANSCRIPT_BYTES);
    if (bytes === undefined) continue;
    const read = readTranscript(file, bytes);
    const other = found.get(read.id);
    found.set(read.id, other === undefined ? read : longerOf(other, read));
  }
  return [...found.values()].sort((a, b) => (a.id < b.id ? -1 : 1));
}

/**
 * One transcript; `file` names it in messages.
 * @throws CountersignError `transcript-invalid`.
 */
export function readTranscript(file: string, bytes: Uint8Array): TranscriptOfComputer {
  try {
    const verified = verifyTranscript(bytes);
    const begun = verified.lines.find((line) => line.step === 'begun');
    if (begun === undefined) throw new CountersignError('transcript-invalid', 'it has no first line');
    return { file, id: begun.transcript, ceremony: begun.ceremony, verified };
  } catch (cause) {
    throw new CountersignError('transcript-invalid', `${file}: ${messageOf(cause)}`, { cause });
  }
}

/** The name under which the transcript of another computer is kept. */
export function foreignName({ id }: Pick<TranscriptOfComputer, 'id'>): string {
  return foreignTranscriptFile(id);
}

/** SHA-256 of line `n`, from 1; undefined when there are fewer lines. */
export function headAt({ lines, head }: VerifiedTranscript, n: number): string | undefined {
  return n === lines.length ? head : lines[n]?.previous;
}

function longerOf(a: TranscriptOfComputer, b: TranscriptOfComputer): TranscriptOfComputer {
  const [short, long] = a.verified.lines.length < b.verified.lines.length ? [a, b] : [b, a];
  const n = short.verified.lines.length;
  if (headAt(long.verified, n) === short.verified.head) return long;
  throw new CountersignError(
    'transcript-invalid',
    `${short.file} and ${long.file} both say they are the transcript ${short.id}: line ${n} has SHA-256 ${short.verified.head} ` +
      `in one and ${headAt(long.verified, n) ?? 'none'} in the other`,
  );
}
