// Which publication may follow which, and what settles one, whatever the ledger is kept in.
import { CountersignError } from '../lib/errors.ts';
import { contentDigest } from './content-digest.ts';
import type { Intent, SignedFiles } from './ledger.ts';
import { storedIntent } from './stored-json.ts';

/** What is recorded of the newest publication. */
export interface NewestPublication {
  readonly snapshot: number;
  readonly digest: string;
  readonly finished: number | null;
}

/** What the last version looks like: whether `finish` has something to do. */
export type Settling = 'unfinished' | 'finished';

/**
 * The intent as it is to be written.
 * @param where Names the row in messages.
 * @throws CountersignError `head-moved`, `ledger-invalid` for an intent nobody could read back.
 */
export function nextIntent(newest: NewestPublication | undefined, intent: Intent, where: string): string {
  const head = newest?.snapshot ?? 0;
  const finished = newest?.finished !== null;
  if (!finished || intent.snapshot !== head + 1) {
    throw new CountersignError(
      'head-moved',
      `the head is snapshot ${head}${finished ? '' : ', unfinished'}: snapshot ${intent.snapshot} cannot follow it`,
      { details: { head, finished } },
    );
  }
  const json = JSON.stringify(intent);
  // Read as recovery will read it: a head that cannot be read back could never be finished.
  storedIntent(json, where);
  checkBundle(intent);
  return json;
}

/** Whether `intent` is the publication to settle now. @throws CountersignError `ledger-invalid` when it is none. */
export function settlingOf(newest: NewestPublication | undefined, intent: Intent): Settling {
  const head = newest?.snapshot ?? 0;
  if (newest === undefined || intent.snapshot > head) {
    throw new CountersignError(
      'ledger-invalid',
      `snapshot ${intent.snapshot} was never committed, the head is snapshot ${head}`,
    );
  }
  if (intent.snapshot < head || newest.finished !== null) return 'finished';
  if (contentDigest(intent) !== newest.digest) {
    throw new CountersignError(
      'ledger-invalid',
      `snapshot ${intent.snapshot} was committed with another intent than the one to settle`,
    );
  }
  return 'unfinished';
}

/** @throws CountersignError `ledger-invalid` unless there is a digest for each bin, in hex. */
export function checkDigests(intent: Intent, { bins: digests, snapshot, timestamp }: SignedFiles): void {
  const wrong = [...digests, snapshot.sha256, timestamp.sha256].find(
    (digest) => !/^[0-9a-f]{64}$/.test(digest),
  );
  if (wrong !== undefined) {
    throw new CountersignError(
      'ledger-invalid',
      `a file of snapshot ${intent.snapshot} has the digest ${JSON.stringify(wrong)}, expected SHA-256 in hex`,
    );
  }
  if (digests.length === intent.bins.length) return;
  throw new CountersignError(
    'ledger-invalid',
    `snapshot ${intent.snapshot} has ${intent.bins.length} bins, ${digests.length} digests were given`,
  );
}

function checkBundle({ snapshot, bundle, trustedRoot }: Intent): void {
  if ((bundle === undefined) !== (trustedRoot === undefined) || (snapshot === 1 && bundle === undefined)) {
    throw new CountersignError(
      'ledger-invalid',
      `the intent of snapshot ${snapshot} has ${bundle === undefined ? 'no' : 'a'} bundle and ` +
        `${trustedRoot === undefined ? 'no' : 'a'} trusted root: they come together, and snapshot 1 needs them`,
    );
  }
}
