// The one judge of every test that publishes: the whole repository, derived anew from the store.
import { expect } from 'vitest';
import { fsck, type LedgerView, type Violation } from '../../src/client/fsck.ts';
import { storeSource } from '../../src/client/source.ts';
import type { Clock } from '../../src/lib/clock.ts';
import type { ObjectStore } from '../../src/storage/store.ts';

export interface OracleOptions {
  readonly store: Pick<ObjectStore, 'get' | 'list'>;
  readonly clock: Clock;
  /** The first root, or any that a client trusts. */
  readonly rootBytes?: Uint8Array;
  /** Compared with the store when given. */
  readonly ledger?: LedgerView;
  /** The store is a mirror of the repository. */
  readonly mirror?: boolean;
  readonly renderedPages?: boolean;
}

export async function violationsOf(options: OracleOptions): Promise<Violation[]> {
  const { store, clock, rootBytes, ledger, mirror = false, renderedPages = false } = options;
  const violations: Violation[] = [];
  for await (const violation of fsck(storeSource(store), {
    now: clock.now(),
    mirror,
    renderedPages,
    ...(rootBytes === undefined ? {} : { trustedRoot: rootBytes }),
    ...(ledger === undefined ? {} : { ledger }),
  })) {
    violations.push(violation);
  }
  return violations;
}

/** Fails with every rule that the repository does not keep. A test repository can be passed as it is. */
export async function expectSound(options: OracleOptions): Promise<void> {
  const violations = await violationsOf(options);
  expect(violations.map(({ rule, name, message }) => `${rule}: ${name} ${message}`)).toEqual([]);
}
