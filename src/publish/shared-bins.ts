// Bins of a large publication, signed by whoever has time: the publisher offers them in shares (../ledger/shared-work.ts)
// and works off shares itself, its own and in the end also those of others that are not done. So it waits for nobody, and
// a node that dies in the middle costs nothing but its help. (ADR 19)
import type { BinVersion, Intent } from '../ledger/ledger.ts';
import type { SharedWork } from '../ledger/shared-work.ts';
import type { Clock } from '../lib/clock.ts';

/** Bins in one share: a quarter of a second at 1,000 targets a bin, and one transaction more to take it. */
const SHARE_BINS = 32;

/** Fewer bins are signed sooner than they are offered. */
const WORTH_SHARING = 64;

/** Milliseconds after which a share is given to another node: many times what it takes. */
export const CLAIM_MS = 10_000;

export interface SharePorts {
  readonly shares: SharedWork;
  /** Names this process, as in the lease. */
  readonly holder: string;
  readonly clock: Clock;
}

/**
 * Whether the bins of a publication may be shared: renewals, bins of a layout to come, and files that were prepared. Nobody
 * waits for them, and they follow from what every node can read.
 */
export function isShared({ bins, events, bundle }: Intent): boolean {
  return bins.length >= WORTH_SHARING && events.length === 0 && bundle === undefined;
}

/**
 * Has the bins of a committed publication signed and written. `own` does so here, for some of them, and answers the
 * SHA-256 of each file in their order, as this function does for all.
 * @throws CountersignError as `own`; `ledger-unavailable`.
 */
export async function writeShared(
  { shares, holder, clock }: SharePorts,
  { snapshot, bins }: Pick<Intent, 'snapshot' | 'bins'>,
  own: (bins: readonly BinVersion[]) => Promise<readonly string[]>,
): Promise<string[]> {
  const offered = Array.from({ length: Math.ceil(bins.length / SHARE_BINS) }, (_, i) =>
    bins.slice(i * SHARE_BINS, (i + 1) * SHARE_BINS),
  );
  await shares.offerShares(snapshot, offered);
  for (;;) {
    const request = { holder, now: clock.now(), ttlMs: CLAIM_MS, finishing: snapshot };
    const share = await shares.takeShare(request);
    if (share === undefined) break;
    await shares.shareDone({ ...share, digests: await own(share.bins) });
  }
  const written = new Map<string, string>();
  const note = (done: readonly BinVersion[], digests: readonly string[]): void => {
    done.forEach((bin, i) => written.set(keyOf(bin), digests[i] ?? ''));
  };
  for (const share of await shares.doneShares(snapshot)) note(share.bins, share.digests);
  // Another process may have settled this publication meanwhile, and forgotten its shares.
  const left = bins.filter((bin) => !written.has(keyOf(bin)));
  if (left.length > 0) note(left, await own(left));
  return bins.map((bin) => written.get(keyOf(bin)) ?? '');
}

function keyOf({ bin, version }: BinVersion): string {
  return `${bin}:${version}`;
}
