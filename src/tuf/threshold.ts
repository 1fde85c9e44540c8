// Who signed: the one place that decides whether a role's threshold is met (TUF 4.2.1, 5.3.4).
import { CountersignError } from '../lib/errors.ts';
import type { Envelope } from './envelope.ts';
import { parsePublicKey, type VerificationKey } from './keys.ts';
import type { MetadataFile } from './metadata-file.ts';
import type { PublicKey, RoleKeys, Signature } from './metadata.ts';

declare const verified: unique symbol;

/** A value whose signatures were verified against the keys of its role. Only this module makes one. */
export type Verified<T> = T & { readonly [verified]: true };

/** A role as its delegator describes it, with the keys it may name. */
export interface RoleTrust extends RoleKeys {
  readonly keys: ReadonlyMap<string, PublicKey>;
}

/** Parsed keys: importing one costs as much as a verification, and 16,384 bins share one. */
const parsed = new WeakMap<PublicKey, VerificationKey>();

function verificationKey(key: PublicKey): VerificationKey {
  let result = parsed.get(key);
  if (result === undefined) {
    result = parsePublicKey(key);
    parsed.set(key, result);
  }
  return result;
}

/**
 * Checks that enough keys of a role signed. Each key counts once, however many signatures bear its id; signatures of
 * other keys are not looked at.
 * @throws CountersignError `signature-invalid` that names the role and both numbers; `metadata-invalid` when a key of
 *   the role cannot be used.
 */
export async function verifyThreshold(
  role: string,
  keys: ReadonlyMap<string, PublicKey>,
  { keyids, threshold }: RoleKeys,
  signedBytes: Uint8Array,
  signatures: readonly Signature[],
): Promise<void> {
  const allowed = new Set(keyids);
  const valid = new Set<string>();
  await Promise.all(
    signatures.map(async ({ keyid, sig }) => {
      const key = allowed.has(keyid) ? keys.get(keyid) : undefined;
      if (key === undefined) return;
      const verifier = verificationKey(key);
      // The id under which a key stands is never believed: it decides which keys are distinct.
      if (verifier.keyid !== keyid) return;
      if (await verifier.verify(signedBytes, Buffer.from(sig, 'hex'))) valid.add(keyid);
    }),
  );
  if (threshold < 1 || valid.size < threshold) {
    throw new CountersignError(
      'signature-invalid',
      `role ${role} is signed by ${valid.size} of ${threshold} required keys`,
      { details: { role, valid: valid.size, threshold } },
    );
  }
}

/**
 * The same envelope, as a proof that its role's threshold was met.
 * @throws CountersignError `signature-invalid`, `metadata-invalid`.
 */
export async function verifyEnvelope<T>(
  role: string,
  trust: RoleTrust,
  envelope: Envelope<T>,
): Promise<Verified<Envelope<T>>> {
  await verifyThreshold(role, trust.keys, trust, envelope.signedBytes, envelope.signatures);
  return envelope as Verified<Envelope<T>>;
}

/**
 * A document, as a proof that the file it was parsed from was signed by its role's threshold.
 * @throws CountersignError `signature-invalid`, `metadata-invalid`.
 */
export async function verifyDocument<T>(
  role: string,
  trust: RoleTrust,
  document: T,
  file: MetadataFile,
): Promise<Verified<T>> {
  await verifyThreshold(role, trust.keys, trust, file.signed, file.signatures);
  return document as Verified<T>;
}
