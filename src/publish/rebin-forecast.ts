// What another number of bins will cost, told before it is ordered: from the sizes of the bins that are there, without
// reading one.
import { CountersignError } from '../lib/errors.ts';
import type { ObjectStore } from '../storage/store.ts';
import { BinDocument } from '../tuf/bin-document.ts';
import { alignedBins, type BinLayout } from '../tuf/bins.ts';
import { METADATA_PREFIX, parseVersionedName } from '../tuf/layout.ts';
import { metadataFile } from '../tuf/metadata-file.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { Published } from './commit.ts';
import { preparations, snapshotBytesWith } from './rebin.ts';

export interface BinsForecast {
  readonly count: number;
  /** What their names begin with. */
  readonly prefix: string;
  /** Of all files together, and of the largest. */
  readonly bytes: number;
  readonly largestBytes: number;
}

export interface RebinForecast {
  readonly before: BinsForecast;
  readonly after: BinsForecast;
  /** Bytes of the snapshot now, and with the names of both layouts in it. */
  readonly snapshotBytes: number;
  readonly snapshotBytesAfter: number;
  /** Publications that prepare bins, before the one that makes clients read them. */
  readonly preparations: number;
}

/** An Ed25519 signature in a file; other kinds differ by a few bytes. */
const SIGNATURE = { keyid: '0'.repeat(64), sig: '0'.repeat(128) };

/**
 * Looks at the sizes of the published bins, and adds up what `next` would make of them.
 * @throws CountersignError `metadata-too-large` when a bin would be larger than clients read; `store-unavailable`.
 */
export async function forecastRebin(
  { snapshot }: Pick<Published, 'snapshot'>,
  next: BinLayout,
  store: Pick<ObjectStore, 'list'>,
): Promise<RebinForecast> {
  const { layout } = snapshot;
  const empty = BinDocument.empty(1, '2000-01-01T00:00:00Z').signed;
  const frame = metadataFile(empty, [SIGNATURE]).length;
  const sizes = new Map<number, number>();
  for await (const { name, size } of store.list(METADATA_PREFIX)) {
    const parsed = parseVersionedName(name);
    const bin = parsed && layout.parse(parsed.role);
    if (bin !== undefined && snapshot.versionOf(bin) === parsed?.version) sizes.set(bin, size);
  }
  const entries = (bin: number): number => Math.max(0, (sizes.get(bin) ?? frame) - frame);
  const share = Math.max(1, next.count / layout.count);
  let bytes = 0;
  let largestBytes = 0;
  for (const bin of next.bins) {
    const sources = alignedBins(next, bin, layout);
    const own = frame + sources.reduce((sum, source) => sum + entries(source), 0) / share;
    bytes += own;
    largestBytes = Math.max(largestBytes, own);
  }
  if (largestBytes > MAX_METADATA_BYTES.targets) {
    throw new CountersignError(
      'metadata-too-large',
      `with ${next.count} bins the largest would have ${largestBytes} bytes, clients read at most ` +
        `${MAX_METADATA_BYTES.targets}: hold the ceremony with more bins`,
    );
  }
  const all = [...sizes.values()];
  return {
    before: {
      count: layout.count,
      prefix: layout.prefix,
      bytes: all.reduce((sum, size) => sum + size, 0),
      largestBytes: all.reduce((largest, size) => Math.max(largest, size), 0),
    },
    after: {
      count: next.count,
      prefix: next.prefix,
      bytes: Math.round(bytes),
      largestBytes: Math.round(largestBytes),
    },
    snapshotBytes: snapshot.signed.length,
    snapshotBytesAfter: snapshotBytesWith(next, { snapshot }),
    preparations: preparations(next, { snapshot }),
  };
}
