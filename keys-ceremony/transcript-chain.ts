// The form of a transcript: lines of canonical JSON, each with the SHA-256 of the line before, so that no line can be
// changed, removed or slipped in without every later line giving it away. Pure: bytes in, lines out.
//
//   {"at":"2027-01-15T10:00:00Z","ceremony":"genesis",…,"n":1,"previous":"000…","step":"begun",…}
//   {"at":"2027-01-15T10:04:10Z","n":2,"payload":"9f86…","previous":"SHA-256 of line 1, without its line end",…}
//
// A power cut may leave the last line cut off. Nothing is ever removed: the next step first writes a line end and a line
// "recovered", which names the bytes that are lost. Cutting lines off the end leaves a chain that is whole, which is why
// holders sign its head when the ceremony is over (transcript-signature.ts).
import { sha256Hex } from '../src/lib/bytes.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { canonicalJson, type Canonicalizable } from '../src/tuf/canonical-json.ts';
import { parseStrictJson, type JsonMap, type JsonValue } from '../src/tuf/json.ts';
import { readStep, type TranscriptStep } from './transcript-steps.ts';

export const TRANSCRIPT_FORMAT = 'countersign-transcript-1';

/** `previous` of the first line. */
const NOTHING_BEFORE = '0'.repeat(64);

/** Bytes of a line: room for 128 key ids. */
const MAX_LINE_BYTES = 16_384;
/** Bytes of a transcript; a long ceremony writes some 50 kB. */
export const MAX_TRANSCRIPT_BYTES = 16 * 1024 * 1024;

const COMMON = ['n', 'previous', 'at', 'step'];
const LINE_END = 0x0a;

export type TranscriptLine = TranscriptStep & {
  /** From 1. */
  readonly n: number;
  /** SHA-256 of the line before. */
  readonly previous: string;
  /** By the clock of that computer. */
  readonly at: string;
};

export interface VerifiedTranscript {
  readonly lines: readonly TranscriptLine[];
  /** SHA-256 of the last whole line: stands for the whole transcript. 64 zeros when there is none. */
  readonly head: string;
  /** Of the last line, cut off; absent when the transcript ends with a whole line. */
  readonly torn?: {
    readonly bytes: number;
    readonly sha256: string;
    /** Only its line end is missing. */
    readonly whole: boolean;
  };
}

/** The text of the line that follows `head`, without its line end. */
export function lineText(n: number, previous: string, at: string, step: TranscriptStep): string {
  const line = { ...step, n, previous, at } as unknown as Canonicalizable;
  const text = canonicalJson(line);
  // What is written must be what every verifier reads.
  readLine(Buffer.from(text), n, previous);
  return text;
}

/**
 * Verifies the chain of a transcript, from its first line to its last.
 * @throws CountersignError `transcript-invalid` that names the first line that does not fit, and both hashes where the
 *   chain is broken.
 */
export function verifyTranscript(bytes: Uint8Array): VerifiedTranscript {
  if (bytes.length > MAX_TRANSCRIPT_BYTES) {
    throw invalid(`transcript has ${bytes.length} bytes, at most ${MAX_TRANSCRIPT_BYTES} are read`);
  }
  const lines: TranscriptLine[] = [];
  let head = NOTHING_BEFORE;
  const take = (line: TranscriptLine, text: Uint8Array): void => {
    checkPlace(line, lines);
    lines.push(line);
    head = sha256Hex(text);
  };
  let at = 0;
  while (at < bytes.length) {
    const end = bytes.indexOf(LINE_END, at);
    const text = bytes.subarray(at, end === -1 ? bytes.length : end);
    const line = tryLine(text, lines.length + 1, head);
    if (end !== -1 && !(line instanceof CountersignError)) {
      take(line, text);
      at = end + 1;
      continue;
    }
    const recovered = recoveredAfter(bytes, at, lines.length + 1, head);
    if (recovered === 'torn') {
      const lost = bytes.subarray(at);
      // A whole document without its line end is not what a power cut leaves of another one: it must fit.
      const whole = isDocument(bytes.subarray(bytes.lastIndexOf(LINE_END) + 1));
      if (whole) verifyTranscript(Buffer.concat([bytes, Buffer.of(LINE_END)]));
      return { lines, head, torn: { bytes: lost.length, sha256: sha256Hex(lost), whole } };
    }
    if (recovered === undefined) throw line instanceof CountersignError ? line : invalid('a line has no end');
    take(recovered.line, recovered.text);
    at = recovered.end + 1;
  }
  return { lines, head };
}

/** "begun" is the first line that a computer wrote; only what a power cut left may stand before it. */
function checkPlace(line: TranscriptLine, before: readonly TranscriptLine[]): void {
  const begun = before.some(({ step }) => step === 'begun');
  if (begun ? line.step === 'begun' : line.step !== 'begun' && line.step !== 'recovered') {
    throw invalid(`line ${line.n} of the transcript is the step ${line.step}; "begun" stands first and once`);
  }
}

/**
 * The line "recovered" that accounts for the bytes from `start`, `torn` when nothing follows that could be a line (then
 * they are the end that was cut off), undefined when something does: the transcript was changed.
 */
function recoveredAfter(
  bytes: Uint8Array,
  start: number,
  n: number,
  previous: string,
): { line: TranscriptLine; text: Uint8Array; end: number } | 'torn' | undefined {
  let at = start;
  for (;;) {
    const end = bytes.indexOf(LINE_END, at);
    if (end === -1) return 'torn';
    const text = bytes.subarray(at, end);
    const line = tryLine(text, n, previous);
    if (!(line instanceof CountersignError) && line.step === 'recovered') {
      const lost = bytes.subarray(start, at - 1);
      return line.bytes === lost.length && line.sha256 === sha256Hex(lost) ? { line, text, end } : undefined;
    }
    if (isDocument(text)) return undefined;
    at = end + 1;
  }
}

/** True for any JSON document: a line that was cut off is none, a line that was changed mostly is one. */
function isDocument(text: Uint8Array): boolean {
  try {
    parse(text);
    return true;
  } catch {
    return false;
  }
}

function tryLine(text: Uint8Array, n: number, previous: string): TranscriptLine | CountersignError {
  try {
    return readLine(text, n, previous);
  } catch (error) {
    if (error instanceof CountersignError) return error;
    throw error;
  }
}

function readLine(text: Uint8Array, n: number, previous: string): TranscriptLine {
  const where = `line ${n} of the transcript`;
  let value: JsonValue;
  try {
    value = parse(text);
  } catch (cause) {
    throw invalid(`${where} is not JSON`, cause);
  }
  if (!(value instanceof Map)) throw invalid(`${where} is not an object`);
  const line = value as JsonMap;
  if (line.get('previous') !== previous) {
    throw invalid(
      `${where} follows a line with SHA-256 ${hashOf(line.get('previous'))}, the line before it has ${previous}`,
    );
  }
  if (line.get('n') !== n) throw invalid(`${where} does not have the number ${n}`);
  const at = line.get('at');
  if (typeof at !== 'string' || !/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(at)) {
    throw invalid(`${where} has no time of the form YYYY-MM-DDTHH:MM:SSZ`);
  }
  let step: TranscriptStep;
  try {
    step = readStep(line, COMMON);
    // One value, one text: otherwise two transcripts with two hashes could say the same.
    if (canonicalJson(line) !== Buffer.from(text).toString('utf8')) {
      throw invalid('it is not canonical JSON');
    }
  } catch (cause) {
    if (!(cause instanceof CountersignError)) throw cause;
    throw invalid(`${where}: ${cause.message}`, cause);
  }
  if (step.step === 'begun' && step.format !== TRANSCRIPT_FORMAT) {
    throw invalid(`${where} has the format ${step.format}, expected ${TRANSCRIPT_FORMAT}`);
  }
  return { ...step, n, previous, at };
}

function parse(text: Uint8Array): JsonValue {
  return parseStrictJson(text, { maxBytes: MAX_LINE_BYTES, maxDepth: 4 });
}

function hashOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value.slice(0, 64) : 'that it does not name';
}

function invalid(problem: string, cause?: unknown): CountersignError {
  return new CountersignError('transcript-invalid', problem, cause === undefined ? {} : { cause });
}
