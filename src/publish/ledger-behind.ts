// Why what the ledger says was published cannot be read: perhaps because the ledger is a restored backup, and the store
// went on without it.
import { CountersignError, FatalError, hasCode } from '../lib/errors.ts';
import type { Head } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { TIMESTAMP_NAME } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import { parseTimestamp } from '../tuf/parse-timestamp.ts';

/** What to do about a ledger that is older than its store. */
export const RECONCILE =
  'the ledger is older than the store: restore a newer one, or run "countersign reconcile"';

/** The error to report for `error`. What timestamp.json says is not verified here: it only chooses the words. */
export async function explainUnreadable(store: ObjectStore, head: Head, error: unknown): Promise<unknown> {
  if (!hasCode(error, 'metadata-missing') && !hasCode(error, 'timestamp-conflict')) return error;
  const version = await store.get(TIMESTAMP_NAME, MAX_METADATA_BYTES.timestamp).then(
    (object) => object && parsedVersion(object.bytes),
    () => undefined,
  );
  if (version === undefined || version <= head.timestamp) return error;
  return new FatalError(
    'timestamp-conflict',
    `${error.message}; the store has timestamp version ${version}, the ledger says ${head.timestamp}: if that is true, ${RECONCILE}`,
    { cause: error },
  );
}

function parsedVersion(bytes: Uint8Array): number | undefined {
  try {
    return parseTimestamp(bytes).signed.version;
  } catch (error) {
    if (error instanceof CountersignError) return undefined;
    throw error;
  }
}
