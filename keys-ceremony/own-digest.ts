// Which program is this? The SHA-256 of the file that Node was started with, to be compared with the one on paper.
import { readFile, realpath } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { sha256Hex } from '../src/lib/bytes.ts';

/** Set to true by `npm run build:ceremony`, which makes one file of all modules. */
declare const COUNTERSIGN_SINGLE_FILE: boolean | undefined;

export interface OwnDigest {
  readonly path: string;
  /** SHA-256 of the file, 64 hex digits. */
  readonly sha256: string;
  /** True when this file is the whole program; else the digest says nothing about the modules that it loads. */
  readonly complete: boolean;
}

/** The digest of this program's own file, read anew at each call. */
export async function ownDigest(): Promise<OwnDigest> {
  const path = await realpath(fileURLToPath(import.meta.url));
  const complete = typeof COUNTERSIGN_SINGLE_FILE !== 'undefined' && COUNTERSIGN_SINGLE_FILE;
  return { path, sha256: sha256Hex(await readFile(path)), complete };
}
