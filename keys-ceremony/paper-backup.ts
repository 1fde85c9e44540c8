// A private key on paper, in shares: any `threshold` of them give it back, fewer say nothing about it (Shamir's secret
// sharing, by an audited library). A share is a row of words out of the ceremony's list, one word a byte:
//   1 version · 1 threshold · 1 shares · 1 algorithm · 4 key id · 3 split · 33 share · 4 checksum
// in lines of six, each followed by a word that checks the line, so that a misread word is found where it stands.
import { createHash, type KeyObject } from 'node:crypto';
import { combine, split } from 'shamir-secret-sharing';
import { CountersignError } from '../src/lib/errors.ts';
import { ed25519PrivateKey, type RandomSource } from './ceremony-key.ts';
import { ecdsaPrivateKey } from './ecdsa-key.ts';
import { FileKey, type KeyAlgorithm } from './key-file.ts';
import { PHRASE_WORDS } from './phrase-words.ts';

export const MIN_SHARES = 2;
export const MAX_SHARES = 16;

const VERSION = 1;
const SECRET_BYTES = 32;
const LINE_BYTES = 6;
/** The x coordinate stands behind the share. */
const SHARE_BYTES = SECRET_BYTES + 1;
const KEYID_AT = 4;
const SPLIT_AT = 8;
const SHARE_AT = 11;
const CHECKSUM_AT = SHARE_AT + SHARE_BYTES;
const TOTAL_BYTES = CHECKSUM_AT + 4;

/** Lines of a share, and words in each. */
export const SHARE_LINES = TOTAL_BYTES / LINE_BYTES;
export const WORDS_IN_LINE = LINE_BYTES + 1;

/** By the byte that stands for each: secrets of 32 bytes. */
export const PAPER_ALGORITHMS = ['ed25519', 'p256'] as const;

export interface BackupNumbers {
  readonly shares: number;
  readonly threshold: number;
}

/** A share that was read: its checksum is right. */
export interface Share {
  readonly threshold: number;
  readonly shares: number;
  readonly algorithm: KeyAlgorithm;
  /** First eight hex digits of the key id. */
  readonly keyid: string;
  /** Six hex digits: shares of one key that were made at different times do not fit together. */
  readonly split: string;
  readonly bytes: Uint8Array;
}

/**
 * Splits a private key; the lines of words of each share.
 * @throws CountersignError `usage` for numbers that make no sense, and for a key whose secret is longer than a share.
 */
export async function splitKey(
  key: FileKey,
  numbers: BackupNumbers,
  random: RandomSource,
): Promise<string[][]> {
  checkNumbers(numbers);
  const algorithm = PAPER_ALGORITHMS.find((name) => name === key.algorithm);
  if (algorithm === undefined) {
    throw new CountersignError(
      'usage',
      `a key of the kind ${key.algorithm} does not fit on paper, only ${PAPER_ALGORITHMS.join(' and ')} do: copy its encrypted file`,
    );
  }
  const { shares, threshold } = numbers;
  const secret = secretOf(key.privateKey());
  const header = Buffer.concat([
    Buffer.from([VERSION, threshold, shares, PAPER_ALGORITHMS.indexOf(algorithm)]),
    Buffer.from(key.keyid.slice(0, 8), 'hex'),
    random(SHARE_AT - SPLIT_AT),
  ]);
  try {
    const parts = await split(secret, shares, threshold);
    return parts.map((part) => {
      const body = Buffer.concat([header, part]);
      return linesOf(Buffer.concat([body, checksum(body)]));
    });
  } finally {
    secret.fill(0);
  }
}

/** @throws CountersignError `usage` for numbers that make no sense. */
export function checkNumbers({ shares, threshold }: BackupNumbers): void {
  if (!Number.isInteger(shares) || shares < MIN_SHARES || shares > MAX_SHARES) {
    throw new CountersignError('usage', `shares is ${shares}, expected ${MIN_SHARES} to ${MAX_SHARES}`);
  }
  if (!Number.isInteger(threshold) || threshold < MIN_SHARES || threshold > shares) {
    throw new CountersignError('usage', `threshold is ${threshold}, expected ${MIN_SHARES} to ${shares}`);
  }
}

function linesOf(bytes: Buffer): string[] {
  return Array.from({ length: SHARE_LINES }, (_, line) => {
    const data = bytes.subarray(line * LINE_BYTES, (line + 1) * LINE_BYTES);
    return [...data, lineCheck(line, data)].map((byte) => PHRASE_WORDS[byte] ?? '').join(' ');
  });
}

/**
 * The bytes of line `line` (from 0) of a share.
 * @throws CountersignError `share-invalid` that names the place of a word that is not in the list.
 */
export function readShareLine(text: string, line: number): Buffer {
  const words = wordsOf(text);
  const where = `line ${line + 1}`;
  if (words.length !== WORDS_IN_LINE) {
    throw invalid(`${where} has ${words.length} words, expected ${WORDS_IN_LINE}`);
  }
  const bytes = Buffer.from(words.map((word, at) => byteOf(word, `${where}, word ${at + 1}`)));
  const data = bytes.subarray(0, LINE_BYTES);
  if (bytes[LINE_BYTES] !== lineCheck(line, data)) {
    throw invalid(`${where} does not fit its last word: a word is wrong, or it is another line`);
  }
  return data;
}

/** The lines of a text that is a whole share, as a scanner of its QR code types it; undefined for anything else. */
export function linesOfWholeShare(text: string): string[] | undefined {
  const words = wordsOf(text);
  if (words.length !== SHARE_LINES * WORDS_IN_LINE) return undefined;
  return Array.from({ length: SHARE_LINES }, (_, line) =>
    words.slice(line * WORDS_IN_LINE, (line + 1) * WORDS_IN_LINE).join(' '),
  );
}

/**
 * A share from the bytes of its lines.
 * @throws CountersignError `share-invalid` for a wrong checksum, and for a share of another version of this program.
 */
export function readShare(lines: readonly Uint8Array[]): Share {
  const bytes = Buffer.concat(lines);
  const body = bytes.subarray(0, CHECKSUM_AT);
  if (bytes.length !== TOTAL_BYTES || !bytes.subarray(CHECKSUM_AT).equals(checksum(body))) {
    throw invalid('the checksum of the share is wrong: its lines are of different shares, or misread');
  }
  const [version, threshold = 0, shares = 0, algorithm = 0] = body;
  const name = PAPER_ALGORITHMS[algorithm];
  if (version !== VERSION || name === undefined) {
    throw invalid(`the share is of version ${version ?? 0}, this program reads version ${VERSION}`);
  }
  return {
    threshold,
    shares,
    algorithm: name,
    keyid: body.toString('hex', KEYID_AT, SPLIT_AT),
    split: body.toString('hex', SPLIT_AT, SHARE_AT),
    bytes: Uint8Array.from(body.subarray(SHARE_AT)),
  };
}

/**
 * Refuses a share that does not go with those before it.
 * @throws CountersignError `share-invalid`.
 */
export function checkFits(share: Share, before: readonly Share[]): void {
  const [first] = before;
  if (first === undefined) return;
  if (share.keyid !== first.keyid) {
    throw invalid(`this is a share of key ${share.keyid}…, the others are of key ${first.keyid}…`);
  }
  if (share.split !== first.split || share.threshold !== first.threshold) {
    throw invalid(
      `this share is of another backup (${share.split}) of the same key, expected ${first.split}`,
    );
  }
  if (before.some(({ bytes }) => Buffer.compare(bytes, share.bytes) === 0)) {
    throw invalid('this share was given before; another one is needed');
  }
}

/**
 * The key out of `threshold` shares.
 * @throws CountersignError `share-invalid` when they are too few, or do not give the key that they name.
 */
export async function joinShares(shares: readonly Share[]): Promise<FileKey> {
  const [first] = shares;
  if (first === undefined || shares.length < first.threshold) {
    throw invalid(`${shares.length} shares were given, expected ${first?.threshold ?? MIN_SHARES}`);
  }
  for (const [index, share] of shares.entries()) checkFits(share, shares.slice(0, index));
  const secret = Buffer.from(await combine(shares.map(({ bytes }) => Uint8Array.from(bytes))));
  const key = first.algorithm === 'ed25519' ? ed25519PrivateKey(secret) : ecdsaPrivateKey('p256', secret);
  secret.fill(0);
  const found = key === undefined ? undefined : await FileKey.of(key);
  if (found?.keyid.startsWith(first.keyid) !== true) {
    throw invalid(`the shares give another key than ${first.keyid}…: one of them was made up`);
  }
  return found;
}

/** The 32 bytes that are the key: the seed of Ed25519, the scalar of P-256. */
function secretOf(key: KeyObject): Uint8Array {
  return Uint8Array.from(Buffer.from(key.export({ format: 'jwk' }).d ?? '', 'base64url'));
}

function byteOf(word: string, where: string): number {
  const byte = PHRASE_WORDS.indexOf(word);
  if (byte !== -1) return byte;
  // Only its place is said: the word, and what it may have been, are parts of a secret.
  throw invalid(`${where} is not in the list of words`);
}

function wordsOf(text: string): string[] {
  return text
    .toLowerCase()
    .split(/[^a-z]+/)
    .filter((word) => word !== '');
}

function lineCheck(line: number, data: Uint8Array): number {
  return createHash('sha256').update(`countersign-share/1 line ${line}:`).update(data).digest()[0] ?? 0;
}

function checksum(body: Uint8Array): Buffer {
  return createHash('sha256').update('countersign-share/1:').update(body).digest().subarray(0, 4);
}

function invalid(message: string): CountersignError {
  return new CountersignError('share-invalid', message);
}
