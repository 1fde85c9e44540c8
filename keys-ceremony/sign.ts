// What a signer does, after the code was checked: one key signs each role that is its to sign, each signature is
// verified against the payload of this computer, and only then written.
import { CountersignError } from '../src/lib/errors.ts';
import { parsePublicKey } from '../src/tuf/keys.ts';
import { signatureFile } from './ceremony-folder.ts';
import type { HolderKey } from './holder-key.ts';
import type { Linted } from './lint.ts';
import type { OfflineRole, Payload } from './payload.ts';
import { signatureFileBytes } from './signature-file.ts';
import { keyInGroups, rolesOfKey, type SigningGroup } from './signing-groups.ts';
import type { SignatureFiles } from './signatures.ts';
import { writeOnce } from './write-file.ts';

export interface SignedRole {
  readonly role: OfflineRole;
  readonly version: number;
  readonly file: string;
  /** `there`: this key had signed before, and its signature is valid. */
  readonly state: 'written' | 'there';
}

/**
 * Signs with one key.
 * @throws CountersignError `key-mismatch` when the key signs no role of this ceremony; `signer-invalid`,
 *   `signer-unavailable`; `file-exists`, `ceremony-file-invalid`, `file-unwritable`.
 */
export async function signWith(
  key: HolderKey,
  folder: string,
  payload: Linted<Payload>,
  groups: readonly SigningGroup[],
  present: SignatureFiles,
): Promise<SignedRole[]> {
  const roles = rolesOfKey(groups, key.keyid);
  if (roles.length === 0) {
    const signers = [...new Set(groups.flatMap(({ trust }) => trust.keyids))];
    throw new CountersignError(
      'key-mismatch',
      `key ${key.keyid} signs no role of this ceremony; the bags of those that do say ` +
        signers.map((keyid) => keyid.slice(0, 8)).join(', '),
    );
  }
  const signed: SignedRole[] = [];
  for (const role of roles) {
    const version = payload.proposal[role]?.version;
    const bytes = payload.signedBytes.get(role);
    const publicKey = keyInGroups(groups, role, key.keyid);
    if (version === undefined || bytes === undefined || publicKey === undefined) {
      throw new CountersignError('internal', `the payload has no ${role}`);
    }
    const file = signatureFile(role, key.keyid);
    if (present.verified.some((other) => other.role === role && other.keyid === key.keyid)) {
      signed.push({ role, version, file, state: 'there' });
      continue;
    }
    const { keyid, sig } = await key.sign(bytes);
    // Against the key that root names, not the one that the signer says it has.
    if (keyid !== key.keyid || !(await parsePublicKey(publicKey).verify(bytes, Buffer.from(sig, 'hex')))) {
      throw new CountersignError(
        'signer-invalid',
        `the signature of key ${key.keyid} over ${role} does not verify`,
      );
    }
    await writeOnce(folder, file, signatureFileBytes({ payload: payload.sha256, role, version, keyid, sig }));
    signed.push({ role, version, file, state: 'written' });
  }
  return signed;
}
