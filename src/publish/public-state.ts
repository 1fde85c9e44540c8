// What is public now, verified, as whoever begins to publish or stands by reads it from ledger and store.
import { CountersignError } from '../lib/errors.ts';
import type { Head, History } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { Published } from './commit.ts';
import { loadOfflineRoles, loadSnapshot, loadTimestamp } from './verified-reads.ts';

export interface PublicState {
  readonly head: Head;
  readonly published: Published;
}

/**
 * Reads the head and what it made public; while a publication is being carried out, the one before it.
 * @throws CountersignError `not-bootstrapped`; FatalError when the store is not what the ledger says.
 */
export async function readPublicState(history: History, store: ObjectStore): Promise<PublicState> {
  const head = await history.head();
  if (head === undefined || (head.unfinished !== undefined && head.snapshot === 1)) {
    throw new CountersignError(
      'not-bootstrapped',
      head === undefined ? 'the ledger holds no repository' : 'the bootstrap of this ledger was interrupted',
    );
  }
  const roles = await loadOfflineRoles(store, head);
  const version = head.unfinished === undefined ? head.snapshot : head.snapshot - 1;
  const snapshot = await loadSnapshot(store, roles, version);
  const timestamp = await loadTimestamp(store, roles);
  const digests = (await history.bins()).map(({ sha256 }) => sha256);
  return { head, published: { roles, snapshot, timestamp, digests } };
}
