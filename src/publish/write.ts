// Writing what was sealed: write-once names, and the timestamp by compare-and-swap, never backwards.
//
// May assume: a SealedFile verifies. Next: ../ledger/ledger.ts (finish)
import { equalBytes } from '../lib/bytes.ts';
import { CountersignError, FatalError, hasCode, messageOf } from '../lib/errors.ts';
import type { ObjectStore } from '../storage/store.ts';
import { parseTimestamp } from '../tuf/parse-timestamp.ts';
import { splitMetadataFile } from '../tuf/metadata-file.ts';
import { verifyThreshold, type RoleTrust } from '../tuf/threshold.ts';
import type { SealedFile } from './seal.ts';
import { loadTimestamp, type OfflineRoles, type PublicTimestamp } from './verified-reads.ts';

/**
 * Creates a write-once object and answers the bytes that are in the store from now on. One that exists is adopted only
 * if its signed part is ours to the byte and its signature verifies: an ECDSA signature differs each time it is made.
 * @throws FatalError `immutable-conflict` when the name has other content (spec 4.4, interop rule 8).
 */
export async function writeOnce(store: ObjectStore, file: SealedFile, trust: RoleTrust): Promise<Uint8Array> {
  if ((await store.putImmutable(file.name, file.bytes)) === 'created') return file.bytes;
  const existing = await store
    .get(file.name, file.bytes.length + MAX_SIGNATURE_DIFFERENCE)
    .catch((error: unknown) => {
      if (hasCode(error, 'metadata-too-large')) throw conflict(file, error.message, error);
      throw error;
    });
  if (existing === undefined) {
    throw new CountersignError('store-unavailable', `${file.name} was said to exist and is absent`);
  }
  if (equalBytes(existing.bytes, file.bytes)) return file.bytes;
  try {
    const theirs = splitMetadataFile(existing.bytes);
    if (!equalBytes(theirs.signed, splitMetadataFile(file.bytes).signed)) {
      throw new CountersignError('metadata-invalid', 'its signed part differs');
    }
    await verifyThreshold(file.name, trust.keys, trust, theirs.signed, theirs.signatures);
  } catch (error) {
    throw conflict(file, messageOf(error), error);
  }
  return existing.bytes;
}

/** Bytes: a signature more than ours (another key was configured when the file was written) and DER's variations. */
const MAX_SIGNATURE_DIFFERENCE = 512;

function conflict(file: SealedFile, reason: string, cause: unknown): FatalError {
  return new FatalError(
    'immutable-conflict',
    `${file.name} exists in the store with other content: ${reason}`,
    {
      cause,
      details: { object: file.name },
    },
  );
}

/**
 * Makes a publication visible. `current` is the timestamp that it replaces; when the store already holds the new one
 * (a crash or another publisher came in between), it is left alone.
 * @throws CountersignError `head-moved` when a newer timestamp is public; FatalError `timestamp-conflict` when
 *   something that this service did not publish stands there.
 */
export async function replaceTimestamp(
  store: ObjectStore,
  roles: OfflineRoles,
  file: SealedFile,
  current: PublicTimestamp | undefined,
): Promise<PublicTimestamp> {
  const envelope = parseTimestamp(file.bytes);
  if (current !== undefined && isSame(current, envelope.signedBytes)) return current;
  try {
    return { token: await store.replace(file.name, file.bytes, current?.token), envelope };
  } catch (error) {
    if (!hasCode(error, 'store-conflict')) throw error;
    const found = await loadTimestamp(store, roles);
    if (found !== undefined && isSame(found, envelope.signedBytes)) return found;
    const theirs = found?.envelope.signed.version ?? 0;
    if (theirs > envelope.signed.version) {
      throw new CountersignError(
        'head-moved',
        `timestamp ${theirs} is public, another publisher is past version ${envelope.signed.version}`,
        { cause: error },
      );
    }
    throw new FatalError(
      'timestamp-conflict',
      found === undefined
        ? `${file.name} was removed from the store by somebody else`
        : `${file.name} in the store has version ${theirs}, which is not the one published last`,
      { cause: error },
    );
  }
}

function isSame(timestamp: PublicTimestamp, signed: Uint8Array): boolean {
  return equalBytes(timestamp.envelope.signedBytes, signed);
}
