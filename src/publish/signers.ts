// Which of the service's keys sign what. It holds one online key, and a second one while that replaces the first: then
// every file bears the signatures of both, as far as its role names them, and verifies for a client that knows either.
// A second one that was not reached yet keeps nothing waiting that the first may sign alone.
import { CountersignError } from '../lib/errors.ts';
import { isReached } from '../signing/late-signer.ts';
import type { Signer } from '../signing/signer.ts';
import type { RoleTrust } from '../tuf/threshold.ts';

/** The online keys of this process. */
export interface Signers {
  readonly signer: Signer;
  /** The key that is to replace the other one (docs/operations.md, "Replacing the online key"). */
  readonly nextSigner?: Signer;
}

/** What a role says about who may sign it. */
type Named = Pick<RoleTrust, 'keyids'>;

/**
 * Those of the service's keys that a role names, the older first.
 * @throws CountersignError `signer-unavailable` when a key was not reached yet without which there may be none.
 */
export function signersNamedBy({ signer, nextSigner }: Signers, { keyids }: Named): Signer[] {
  const isNamed = ({ keyid }: Signer): boolean => keyids.includes(keyid);
  const own = [signer].filter(isNamed);
  if (nextSigner === undefined || (own.length > 0 && !isReached(nextSigner))) return own;
  return [...own, ...[nextSigner].filter(isNamed)];
}

/** Ids of the service's keys, of those that were reached. */
export function reachedKeyids({ signer, nextSigner }: Signers): string[] {
  return [signer, ...(nextSigner === undefined ? [] : [nextSigner])]
    .filter(isReached)
    .map(({ keyid }) => keyid);
}

/**
 * The signers with exactly these key ids: a publication that was committed is signed as it was decided then, whatever
 * the configuration says by now. Without `keyids` (a publication of an older version): the one signer there was.
 * @throws CountersignError `key-mismatch` that names the key that is missing; `signer-unavailable` when it may be that of
 *   the signer that was not reached yet.
 */
export function signersOf(signers: Signers, keyids: readonly string[] | undefined): Signer[] {
  if (keyids === undefined) return [signers.signer];
  const found = signersNamedBy(signers, { keyids });
  const missing = keyids.find((keyid) => found.every((signer) => signer.keyid !== keyid));
  if (missing === undefined) return found;
  // Asked for its key, one that was not reached says why.
  if (signers.nextSigner?.keyid === missing) return signersNamedBy(signers, { keyids });
  throw new CountersignError(
    'key-mismatch',
    `a publication was committed to be signed by ${keyids.join(' and ')}, and the service has no key ${missing}; ` +
      'configure it as signer or next-signer until the publication is completed',
    { details: { keyid: missing } },
  );
}
