// Objects that this service has not published: versions beyond those in the ledger. Nobody but a thief of the online key,
// or another ledger for the same store, can have made them.
import { CountersignError } from '../lib/errors.ts';
import type { BinState, Head } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { METADATA_PREFIX, parseVersionedName } from '../tuf/layout.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';

/** Names that a message lists at most. */
const NAMED = 5;

/** Names of such objects, ascending. The head must be finished: what an unfinished publication wrote is its own. */
export async function foreignObjects(
  store: ObjectStore,
  { snapshot, roles }: Head,
  bins: readonly BinState[],
  known: SnapshotDocument,
): Promise<string[]> {
  const newest = new Map<string, number>([...Object.entries(roles), ['snapshot', snapshot]]);
  for (const { bin, version } of bins) {
    if (known.isListed(bin)) newest.set(known.nameOf(bin), version);
  }
  const foreign: string[] = [];
  for await (const { name } of store.list(METADATA_PREFIX)) {
    const parsed = parseVersionedName(name);
    if (parsed !== undefined && parsed.version > (newest.get(parsed.role) ?? Number.POSITIVE_INFINITY)) {
      foreign.push(name);
    }
  }
  return foreign.sort();
}

/** @throws CountersignError `immutable-conflict` when there are any. */
export async function checkNothingForeign(...where: Parameters<typeof foreignObjects>): Promise<void> {
  const names = await foreignObjects(...where);
  if (names.length === 0) return;
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : '';
  throw new CountersignError(
    'immutable-conflict',
    `the store holds what this service has not published: ${names.slice(0, NAMED).join(', ')}${more}; keep copies as ` +
      'evidence, remove them, and import again',
    { details: { objects: names.length } },
  );
}
