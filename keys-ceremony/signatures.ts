// The signatures that a folder holds. Each is verified against the payload that this computer made; one that is not of
// this payload, not of one of its keys, or not valid is named, and never counted.
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { parsePublicKey } from '../src/tuf/keys.ts';
import { listFolder, MAX_BYTES, readRequired, signatureFile, SIGNATURES_FOLDER } from './ceremony-folder.ts';
import type { Payload } from './payload.ts';
import { parseSignatureFile, type RoleSignature } from './signature-file.ts';
import { keyInGroups, type SigningGroup } from './signing-groups.ts';

export interface RefusedSignature {
  readonly file: string;
  readonly problem: string;
}

export interface SignatureFiles {
  /** Sorted by file name; one for each role and key. */
  readonly verified: readonly RoleSignature[];
  readonly refused: readonly RefusedSignature[];
}

/** ROLE.KEYID.json; other files in the folder, such as those that file managers leave, are not looked at. */
const NAME = /^(?:root|targets|bins)\.[0-9a-f]{64}\.json$/;

/**
 * Reads and verifies all signatures in a folder.
 * @throws CountersignError `ceremony-file-invalid` when the folder of signatures itself cannot be read.
 */
export async function readSignatures(
  folder: string,
  payload: Payload,
  groups: readonly SigningGroup[],
): Promise<SignatureFiles> {
  const verified: RoleSignature[] = [];
  const refused: RefusedSignature[] = [];
  for (const name of await listFolder(folder, SIGNATURES_FOLDER)) {
    if (!NAME.test(name)) continue;
    const file = `${SIGNATURES_FOLDER}/${name}`;
    try {
      const bytes = await readRequired(folder, file, MAX_BYTES.signature);
      const signature = await verifySignatureFile(bytes, file, payload, groups);
      if (signatureFile(signature.role, signature.keyid) !== file) {
        throw new CountersignError(
          'ceremony-mismatch',
          `${file} holds a signature of ${signature.role} by key ${signature.keyid}`,
        );
      }
      verified.push(signature);
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
      refused.push({ file, problem: messageOf(error) });
    }
  }
  return { verified, refused };
}

/**
 * Parses a signature file and verifies what it says.
 * @throws CountersignError `ceremony-file-invalid`; `ceremony-mismatch` for another payload, version, role or key;
 *   `signature-invalid`.
 */
export async function verifySignatureFile(
  bytes: Uint8Array,
  where: string,
  payload: Payload,
  groups: readonly SigningGroup[],
): Promise<RoleSignature> {
  const signature = parseSignatureFile(bytes, where);
  const { role, keyid, version } = signature;
  const mismatch = (problem: string): CountersignError =>
    new CountersignError('ceremony-mismatch', `${where} ${problem}`);
  if (signature.payload !== payload.sha256) {
    throw mismatch(`signs payload ${signature.payload}, this ceremony has payload ${payload.sha256}`);
  }
  const made = payload.proposal[role];
  const signedBytes = payload.signedBytes.get(role);
  if (made === undefined || signedBytes === undefined) throw mismatch(`signs ${role}, which stays as it is`);
  if (version !== made.version) {
    throw mismatch(`signs ${role} ${version}, this ceremony makes ${role} ${made.version}`);
  }
  const key = keyInGroups(groups, role, keyid);
  if (key === undefined) throw mismatch(`is by key ${keyid}, which signs no ${role} of this ceremony`);
  if (!(await parsePublicKey(key).verify(signedBytes, Buffer.from(signature.sig, 'hex')))) {
    throw new CountersignError(
      'signature-invalid',
      `${where} is not a signature of key ${keyid} over ${role} ${version}`,
    );
  }
  return signature;
}
