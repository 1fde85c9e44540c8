// Another number of bins, as a planned operation: all new bins first, then the delegation. The new layout has names of
// its own, so its bins are published in ordinary publications before any client can be sent to them, with uploads in
// between; one publication at the end makes anew what those changed, and names the new bins role. (ADR 20)
//
// What is done already is not remembered but seen: in the snapshot, and in what the ledger says of bins. It is asked for
// those of one step while bins are prepared, and for all of them at the end: the work grows with the bins, not with bins
// and publications.
// May assume: the bundle may be imported (./import.ts). Next: ./rebin-publication.ts
import { CountersignError } from '../lib/errors.ts';
import type { BinRange, BinState, BinVersion } from '../ledger/ledger.ts';
import { alignedBins, type BinLayout } from '../tuf/bins.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { Published } from './commit.ts';
import { signersNamedBy, type Signers } from './signers.ts';
import type { OfflineRoles } from './verified-reads.ts';

/** Bins written, and bins read for them, in one publication at most: about a second in which uploads wait. */
const SLICE = 256;

/** Bins that uploads have changed since they were prepared are made anew in the last publication, when they are so few. */
const CHANGED_AT_LAST = 256;

/** After so many publications that made bins anew, the last one takes all that are left: uploads come too fast. */
const MAX_RESYNCS = 64;

/** Bytes that a snapshot may still grow by for each new bin: versions of five digits. */
const GROWTH_PER_BIN = 4;

/** Bytes of a snapshot around its bins and signatures. */
const FRAME_BYTES = 4096;

/** One publication of a change of the layout. */
export interface RebinStep {
  readonly layout: BinLayout;
  /** Bins of the new layout, ascending. */
  readonly bins: readonly BinVersion[];
  /** Ids of the online keys that sign them. */
  readonly keyids: readonly string[];
  /** The last one: the new bins role is published with it. */
  readonly switches: boolean;
  /** Bins that were there already are made anew. */
  readonly resyncs: boolean;
}

export interface RebinContext extends Signers {
  readonly published: Published;
  /** Asks the ledger for these of all bins; those that were never published are left out. */
  readonly bins: (range: BinRange) => Promise<readonly BinState[]>;
  readonly compromised: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Publications so far that made bins anew. */
  readonly resyncs: number;
}

/**
 * Whether `next` may take the place of the published layout.
 * @throws CountersignError `bundle-conflict` that says why not.
 */
export function checkNextLayout(
  next: BinLayout,
  context: Omit<RebinContext, 'bins'>,
  after: OfflineRoles,
): void {
  const { published, compromised } = context;
  const { snapshot } = published;
  const change = `the bundle has ${next.count} bins ${next.prefix}-…, ${snapshot.layout.count} bins ${snapshot.layout.prefix}-… are published`;
  if (compromised) {
    throw conflict(`${change}: end the compromise with the bins as they are, then change their number`);
  }
  const taken = snapshot.layouts.find(({ generation }) => generation >= next.generation);
  if (taken !== undefined && !(taken.isSame(next) && taken.generation > snapshot.layout.generation)) {
    throw conflict(
      `${change}: the snapshot lists ${taken.count} bins ${taken.prefix}-… already, and names are never used again; ` +
        (taken.generation > snapshot.layout.generation
          ? 'finish the change that was begun with the bundle that it was begun with'
          : `the bundle must have names that follow ${taken.prefix}-`),
    );
  }
  if (signingKeys(context, after).length === 0) {
    throw conflict(
      `${change}, and their key changes as well: take two ceremonies, one for the key and one for the bins`,
    );
  }
  if (taken !== undefined) return;
  const bytes = snapshotBytesWith(next, published) + GROWTH_PER_BIN * next.count + FRAME_BYTES;
  if (bytes <= MAX_METADATA_BYTES.snapshot) return;
  throw conflict(
    `${change}: the snapshot lists the bins of before as well and would grow to ${bytes} bytes, clients read at most ` +
      `${MAX_METADATA_BYTES.snapshot}; former names leave it when the snapshot key is exchanged without overlap`,
  );
}

/** Bytes of the signed part of the published snapshot with all bins of `next` in it. */
export function snapshotBytesWith(next: BinLayout, { snapshot }: Pick<Published, 'snapshot'>): number {
  const bins = next.bins.filter((bin) => !snapshot.isListed(bin)).map((bin) => ({ bin, version: 1 }));
  const { version, expires, targetsVersion, binsVersion } = snapshot;
  const edit = { version, expires, targetsVersion, binsVersion, bins, prepares: next };
  return snapshot.edit(edit).signed.length;
}

/** The next publication of the change. @throws the errors of the ledger. */
export async function nextRebinStep(
  next: BinLayout,
  context: RebinContext,
  after: OfflineRoles,
): Promise<RebinStep> {
  const { published, resyncs } = context;
  const keyids = signingKeys(context, after);
  const step = (
    numbers: readonly number[],
    states: BinStates,
    kind: Pick<RebinStep, 'switches' | 'resyncs'>,
  ): RebinStep => ({
    layout: next,
    bins: numbers.map((bin) => ({ bin, version: (states.get(bin)?.version ?? 0) + 1 })),
    keyids,
    ...kind,
  });
  // The first bin comes last: with it the layout is whole, and the one that clients read.
  const listed = published.snapshot.firstListed(next);
  if (listed > next.first + 1) {
    const first = Math.max(next.first + 1, listed - sliceLength(next, published));
    const states = await statesOf({ first, count: listed - first }, context);
    return step(range(first, listed), states, { switches: false, resyncs: false });
  }
  const { layout } = published.snapshot;
  const [states, sources] = [await statesOf(next, context), await statesOf(layout, context)];
  const changed = range(next.first + 1, next.first + next.count).filter((bin) => {
    const own = states.get(bin);
    return own === undefined || isStale(own, alignedBins(next, bin, layout), sources, context, keyids);
  });
  if (changed.length > CHANGED_AT_LAST && resyncs < MAX_RESYNCS) {
    return step(changed.slice(0, sliceLength(next, published)), states, { switches: false, resyncs: true });
  }
  return step([next.first, ...changed], states, { switches: true, resyncs: false });
}

type BinStates = ReadonlyMap<number, BinState>;

async function statesOf(range: BinRange, { bins }: Pick<RebinContext, 'bins'>): Promise<BinStates> {
  return new Map((await bins(range)).map((state) => [state.bin, state]));
}

/** Whether a bin that was prepared must be made anew. */
function isStale(
  { signedAt, expires, keyids }: BinState,
  madeOf: readonly number[],
  sources: BinStates,
  { now }: RebinContext,
  wanted: readonly string[],
): boolean {
  if (!wanted.every((keyid) => keyids.includes(keyid))) return true;
  // It waited so long that it would have to be renewed at once.
  if (now >= signedAt + (expires - signedAt) / 2) return true;
  // Publications of one millisecond cannot be told apart: then once too often.
  return madeOf.some((source) => (sources.get(source)?.signedAt ?? Number.POSITIVE_INFINITY) >= signedAt);
}

/** Publications that prepare the bins which are not listed yet. */
export function preparations(next: BinLayout, published: Pick<Published, 'snapshot'>): number {
  const missing = published.snapshot.firstListed(next) - next.first - 1;
  return Math.ceil(Math.max(0, missing) / sliceLength(next, published));
}

/** Merging reads many bins for each that is written. */
function sliceLength(next: BinLayout, { snapshot: { layout } }: Pick<Published, 'snapshot'>): number {
  return Math.max(1, Math.floor(SLICE / Math.max(1, layout.count / next.count)));
}

/** The service's keys that may sign the bins of before and of after: whoever reads either can verify the new ones. */
function signingKeys(context: Omit<RebinContext, 'bins'>, after: OfflineRoles): string[] {
  const before = context.published.roles.binTrust.keyids;
  const keyids = after.binTrust.keyids.filter((keyid) => before.includes(keyid));
  return signersNamedBy(context, { keyids }).map(({ keyid }) => keyid);
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, offset) => from + offset);
}

function conflict(message: string): CountersignError {
  return new CountersignError('bundle-conflict', message);
}
