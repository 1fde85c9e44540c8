// What is public now, verified, as whoever begins to publish or stands by reads it from ledger and store.
import { CountersignError } from '../lib/errors.ts';
import type { BinState, Head, History } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { parseRoot } from '../tuf/parse-root.ts';
import type { RoleTrust } from '../tuf/threshold.ts';
import { checkSameLayout, topLevelTrust } from '../tuf/verify-roles.ts';
import type { Published } from './commit.ts';
import { explainUnreadable } from './ledger-behind.ts';
import { loadOfflineRoles, loadSnapshot, loadTimestamp, type OfflineRoles } from './verified-reads.ts';

export interface PublicState {
  readonly head: Head;
  readonly published: Published;
  /** What the ledger says of the bins that are public. */
  readonly bins: readonly BinState[];
}

/**
 * Reads the head and what it made public; while a publication is being carried out, the one before it. `timestamp`:
 * `ignored` when it may be a thief's, and is to be replaced whatever it says.
 * @throws CountersignError `not-bootstrapped`; FatalError when the store is not what the ledger says.
 */
export async function readPublicState(
  history: History,
  store: ObjectStore,
  { timestamp: reading = 'verified' }: { readonly timestamp?: 'verified' | 'ignored' } = {},
): Promise<PublicState> {
  const head = await history.head();
  if (head === undefined || (head.unfinished !== undefined && head.snapshot === 1)) {
    throw new CountersignError(
      'not-bootstrapped',
      head === undefined ? 'the ledger holds no repository' : 'the bootstrap of this ledger was interrupted',
    );
  }
  const published = await readPublished(store, head, reading).catch(async (error: unknown) => {
    throw await explainUnreadable(store, head, error);
  });
  const bins = await history.bins(published.roles.binTrust.layout);
  const digests = bins.map(({ sha256 }) => sha256);
  return { head, published: { ...published, digests }, bins };
}

async function readPublished(
  store: ObjectStore,
  head: Head,
  reading: 'verified' | 'ignored',
): Promise<Omit<Published, 'digests'>> {
  const roles = await loadOfflineRoles(store, head);
  const version = head.unfinished === undefined ? head.snapshot : head.snapshot - 1;
  const snapshot = await loadSnapshot(store, roles, version);
  checkSameLayout(roles.binTrust.layout, snapshot);
  const timestamp =
    reading === 'ignored'
      ? undefined
      : await loadTimestamp(store, { timestampTrust: timestampTrust(head, roles) });
  return { roles, snapshot, timestamp };
}

/** An import that was not finished may have come as far as its timestamp: that one verifies with the root to come. */
function timestampTrust(
  { unfinished, trustedRoot }: Head,
  { timestampTrust: before }: OfflineRoles,
): RoleTrust {
  if (unfinished?.replaces === undefined) return before;
  const after = topLevelTrust(parseRoot(Buffer.from(trustedRoot)).signed, 'timestamp');
  return {
    keys: new Map([...before.keys, ...after.keys]),
    keyids: [...new Set([...before.keyids, ...after.keyids])],
    threshold: 1,
  };
}
