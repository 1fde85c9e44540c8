// Signatures that other computers made come together: from folders or single files, in any order. What does not belong
// to this ceremony is named and stays outside.
import { lstat } from 'node:fs/promises';
import path from 'node:path';
import { sha256Hex } from '../src/lib/bytes.ts';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import {
  FILES,
  listFolder,
  MAX_BYTES,
  readIfPresent,
  readRegularFile,
  signatureFile,
  SIGNATURES_FOLDER,
} from './ceremony-folder.ts';
import { refuseAborted } from './load-ceremony.ts';
import type { Payload } from './payload.ts';
import { signatureFileBytes } from './signature-file.ts';
import type { SigningGroup } from './signing-groups.ts';
import { verifySignatureFile, type RefusedSignature, type SignatureFiles } from './signatures.ts';
import { writeOnce } from './write-file.ts';

export interface MergeResult {
  /** Signature files that were added, with their SHA-256. */
  readonly added: readonly { readonly file: string; readonly sha256: string }[];
  /** Signatures that were there already. */
  readonly known: readonly string[];
  readonly refused: readonly RefusedSignature[];
}

/**
 * Takes over the signatures in `from`.
 * @param from absolute paths of ceremony folders and signature files.
 * @throws CountersignError `ceremony-file-missing` when one is not there; `ceremony-mismatch` when a folder has another
 *   plan; `ceremony-aborted` when it was aborted there; `file-unwritable`, `ceremony-file-invalid` when a signature cannot be written.
 */
export async function mergeSignatures(
  folder: string,
  from: readonly string[],
  payload: Payload,
  groups: readonly SigningGroup[],
  present: SignatureFiles,
): Promise<MergeResult> {
  const files = (await Promise.all(from.map((place) => signatureFilesIn(place, payload)))).flat();
  const added: { file: string; sha256: string }[] = [];
  const known: string[] = [];
  const refused: RefusedSignature[] = [];
  const seen = new Map(present.verified.map((one) => [signatureFile(one.role, one.keyid), one.sig]));
  for (const file of files) {
    try {
      const bytes = await readRegularFile(file, MAX_BYTES.signature);
      if (bytes === undefined) throw new CountersignError('ceremony-file-missing', `${file} is not there`);
      const signature = await verifySignatureFile(bytes, file, payload, groups);
      const name = signatureFile(signature.role, signature.keyid);
      const before = seen.get(name);
      if (before === undefined) {
        const content = signatureFileBytes(signature);
        await writeOnce(folder, name, content);
        seen.set(name, signature.sig);
        added.push({ file: name, sha256: sha256Hex(content) });
      } else if (before === signature.sig) {
        known.push(name);
      } else {
        // TUF 4.2.1: "there MUST be only one signature per KEYID".
        throw new CountersignError(
          'ceremony-mismatch',
          `${file} is a second signature of key ${signature.keyid} over ${signature.role}; the first one counts`,
        );
      }
    } catch (error) {
      if (!(error instanceof CountersignError) || error.code === 'file-unwritable') throw error;
      refused.push({ file, problem: messageOf(error) });
    }
  }
  return { added, known, refused };
}

async function signatureFilesIn(place: string, payload: Payload): Promise<string[]> {
  let found;
  try {
    found = await lstat(place);
  } catch (error) {
    throw new CountersignError('ceremony-file-missing', `${place} cannot be read: ${messageOf(error)}`);
  }
  if (!found.isDirectory()) return [place];
  // Whoever ended it there has seen something that everybody here must know of.
  await refuseAborted(place);
  const plan = await readIfPresent(place, FILES.plan, MAX_BYTES.plan);
  if (plan !== undefined && sha256Hex(plan) !== payload.origin.plan) {
    throw new CountersignError(
      'ceremony-mismatch',
      `${place} has plan ${sha256Hex(plan)}, this folder has plan ${payload.origin.plan}`,
    );
  }
  const inside = plan === undefined ? '.' : SIGNATURES_FOLDER;
  const names = await listFolder(place, inside);
  const files = names.filter((name) => /^(?:root|targets|bins)\..*\.json$/.test(name));
  if (plan === undefined && files.length === 0) {
    // A stick on which only the folder `signatures` was copied.
    const below = await listFolder(place, SIGNATURES_FOLDER);
    return below
      .filter((name) => !name.startsWith('.') && name.endsWith('.json'))
      .map((name) => path.join(place, SIGNATURES_FOLDER, name));
  }
  return files.map((name) => path.join(place, inside, name));
}
