// Publications that write bins of a layout to come, which no client is sent to yet. (ADR 20)
//
// May assume: ./rebin.ts has chosen the step. Next: ./bin-desk.ts, ./rebuilt-bins.ts
import { CountersignError } from '../lib/errors.ts';
import type { BinVersion, Intent } from '../ledger/ledger.ts';
import { alignedBins, type BinLayout } from '../tuf/bins.ts';
import type { BinSession, BinsToRebuild } from './bin-desk.ts';
import { MAX_SIGNED_BYTES } from './bin-room.ts';
import { writeAndPublish, type CommitPorts, type Published } from './commit.ts';
import type { RebinStep } from './rebin.ts';
import { snapshotEditOf } from './snapshot-edit.ts';
import { publicBin, type PublicBins } from './verified-reads.ts';

/** What an intent says of a step. */
export function rebinPart({
  layout: { count, generation },
  bins,
  keyids,
}: RebinStep): Pick<Intent, 'bins' | 'keyids' | 'rebin'> {
  return { bins, keyids, rebin: { count, generation } };
}

/** The bins of the current layout that a step needs, ascending. */
export function rebinSources({ layout, bins }: RebinStep, { snapshot }: Published): number[] {
  return sourcesOf(
    layout,
    bins.map(({ bin }) => bin),
    snapshot.layout,
  );
}

/** The bins of `current` that hold what `bins` of `layout` hold, ascending. */
export function sourcesOf(layout: BinLayout, bins: readonly number[], current: BinLayout): number[] {
  return [...new Set(bins.flatMap((bin) => alignedBins(layout, bin, current)))].sort((a, b) => a - b);
}

/**
 * Merged bins must stay readable. `sizeOf`: bytes of the signed part of a bin of the current layout.
 * @throws CountersignError `metadata-too-large`.
 */
export function checkRoom(
  { layout, bins }: RebinStep,
  { snapshot }: Published,
  sizeOf: (bin: number) => number,
): void {
  if (layout.count >= snapshot.layout.count) return;
  for (const { bin } of bins) {
    const sources = alignedBins(layout, bin, snapshot.layout);
    const size = sources.reduce((total, source) => total + sizeOf(source), 0);
    if (size <= MAX_SIGNED_BYTES) continue;
    throw new CountersignError(
      'metadata-too-large',
      `${layout.name(bin)} would have up to ${size} bytes, at most ${MAX_SIGNED_BYTES} are allowed: ${layout.count} bins ` +
        'are too few for this repository',
    );
  }
}

/** What it takes to write bins of `layout`, which the online keys of the current one sign. */
export function binsToRebuild(
  published: Pick<PublicBins, 'snapshot' | 'digests'>,
  { bins, at, keyids, expires }: Pick<Intent, 'bins' | 'at' | 'keyids' | 'expires'>,
  layout: BinLayout,
): BinsToRebuild {
  const numbers = bins.map(({ bin }) => bin);
  return {
    layout: { count: layout.count, generation: layout.generation },
    bins,
    sources: sourcesOf(layout, numbers, published.snapshot.layout).map((bin) => publicBin(published, bin)),
    at,
    expires: expires.bin,
    ...(keyids === undefined ? {} : { keyids }),
  };
}

/**
 * Carries out what was committed: bins that no client is sent to yet, and a snapshot that lists them. Idempotent.
 * @throws the errors of `complete` in ./commit.ts.
 */
export async function completePreparation(
  ports: CommitPorts,
  published: Published,
  intent: Intent,
  layout: BinLayout,
  session: BinSession,
): Promise<Published> {
  const { roles, snapshot, timestamp } = published;
  const next = snapshot.edit({
    ...snapshotEditOf(intent),
    prepares: layout,
  });
  const own = (bins: readonly BinVersion[]): Promise<readonly string[]> =>
    session.rebuild(binsToRebuild(published, { ...intent, bins }, layout));
  const plan = { intent, changes: [] };
  const { published: shown } = await writeAndPublish(ports, roles, plan, next, own, timestamp);
  return { ...published, snapshot: next, timestamp: shown };
}
