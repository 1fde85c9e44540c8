// Bins of a layout to come, made from those of the current one. Hash space is divided by leading bits: each new bin
// needs one bin, or some neighbours, and nothing has to be sorted or kept beside the store. (ADR 20)
//
// May assume: every bin that `base` gives was verified. Next: ./seal.ts, ./write.ts
import { CountersignError } from '../lib/errors.ts';
import type { BinVersion, Intent } from '../ledger/ledger.ts';
import { BinDocument } from '../tuf/bin-document.ts';
import { alignedBins, type BinLayout } from '../tuf/bins.ts';
import { MAX_SIGNED_BYTES } from './bin-room.ts';
import { writeAndPublish, type CommitPorts, type Published } from './commit.ts';
import type { RebinStep } from './rebin.ts';
import { snapshotEditOf } from './snapshot-edit.ts';
import { basesOf, type BaseDocument, type PublicBins } from './verified-reads.ts';
import { writeBins } from './write-bins.ts';

/** Bins of the current layout that are kept divided: as many as bins in hand can need, and a few. */
const KEPT = 8;

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

/** Makes bins of `layout`; each bin of the current one is divided once while its neighbours are in hand. */
export function rebuilder(
  current: BinLayout,
  layout: BinLayout,
  base: BaseDocument,
): (bin: number, version: number, expires: string) => Promise<BinDocument> {
  const divided = new Map<number, Promise<ReadonlyMap<number, Buffer>>>();
  const divide = (source: number): Promise<ReadonlyMap<number, Buffer>> => {
    const known = divided.get(source);
    if (known !== undefined) return known;
    const [oldest] = divided.keys();
    if (divided.size >= KEPT && oldest !== undefined) divided.delete(oldest);
    const parts = base(source).then((document) => entriesByBin(document, layout));
    divided.set(source, parts);
    return parts;
  };
  return async (bin, version, expires) => {
    const sources = alignedBins(layout, bin, current);
    if (layout.count <= current.count) {
      const documents = await Promise.all(sources.map((source) => base(source)));
      return BinDocument.ofEntries(merged(documents), version, expires);
    }
    const [source = current.first] = sources;
    const entries = (await divide(source)).get(bin) ?? Buffer.alloc(0);
    return BinDocument.ofEntries(entries, version, expires);
  };
}

function entriesByBin(document: BinDocument, layout: BinLayout): ReadonlyMap<number, Buffer> {
  const entries = new Map<number, Uint8Array[]>();
  for (const [path, entry] of document.slices()) {
    const bin = layout.indexOf(path);
    const list = entries.get(bin);
    if (list === undefined) entries.set(bin, [entry]);
    else list.push(entry);
  }
  return new Map([...entries].map(([bin, list]) => [bin, joined(list)]));
}

/** Bins follow the hash of paths, entries the paths themselves: those of neighbours are mixed. */
function merged(documents: readonly BinDocument[]): Uint8Array {
  const [only] = documents;
  if (documents.length === 1 && only !== undefined) return only.entryBytes;
  const all = documents.flatMap((document) => [...document.slices()]);
  // Paths are ASCII: JavaScript's order is the canonical one.
  all.sort(([a], [b]) => (a < b ? -1 : 1));
  return joined(all.map(([, entry]) => entry));
}

/** With commas. */
function joined(entries: readonly Uint8Array[]): Buffer {
  return Buffer.concat(entries.flatMap((entry, index) => (index === 0 ? [entry] : [COMMA, entry])));
}

const COMMA = Buffer.from(',');

/** Writes bins of `layout`, which the online keys of the current one sign; answers the SHA-256 of each file. */
export function writePrepared(
  ports: Parameters<typeof writeBins>[0],
  published: PublicBins,
  intent: Pick<Intent, 'bins' | 'at' | 'keyids' | 'expires'>,
  layout: BinLayout,
): Promise<string[]> {
  const { roles, snapshot } = published;
  const rebuild = rebuilder(snapshot.layout, layout, basesOf(ports.store, published));
  const trust = { ...roles.binTrust, layout };
  return writeBins(ports, { ...roles, binTrust: trust }, intent, ({ bin, version }) =>
    rebuild(bin, version, intent.expires.bin),
  );
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
): Promise<Published> {
  const { roles, snapshot, timestamp } = published;
  const next = snapshot.edit({
    ...snapshotEditOf(intent),
    prepares: layout,
  });
  const own = (bins: readonly BinVersion[]): Promise<string[]> =>
    writePrepared(ports, published, { ...intent, bins }, layout);
  const plan = { intent, changes: [] };
  const { published: shown } = await writeAndPublish(ports, roles, plan, next, own, timestamp);
  return { ...published, snapshot: next, timestamp: shown };
}
