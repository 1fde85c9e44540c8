// The bins that a restored ledger does not know in the version that is public: verified, and compared with what the
// ledger knew.
//
// A bin does not name its role, and all bins have one key: for these bins nobody but the one who looks at the
// differences can tell an empty bin that stands in another one's place (docs/trust.md).
import { sha256Hex } from '../lib/bytes.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import type { BinState, TargetChange } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { BinDocument } from '../tuf/bin-document.ts';
import { canonicalJson, type Canonicalizable } from '../tuf/canonical-json.ts';
import type { BinsTrust } from '../tuf/delegations.ts';
import { versionedName } from '../tuf/layout.ts';
import { parseExpires } from '../tuf/lifetimes.ts';
import { splitMetadataFile } from '../tuf/metadata-file.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { checkBinPaths, checkNoRollback, verifyBinFile } from '../tuf/verify-roles.ts';

/** Bins read at once, each in two versions. */
const READS_IN_FLIGHT = 8;

/** One target of which the ledger does not know: `listed` when its bin's former content is no longer in the store. */
export interface UnknownTarget {
  readonly op: TargetChange['op'] | 'listed';
  readonly path: string;
  readonly target?: TargetFile;
  readonly previous?: TargetFile;
}

export interface BinComparison {
  readonly store: Pick<ObjectStore, 'get'>;
  readonly trust: BinsTrust;
  readonly snapshot: SnapshotDocument;
  /** What the ledger knows. */
  readonly known: readonly BinState[];
  /** Milliseconds for which a bin is signed. */
  readonly lifetimeMs: number;
  /** Told of every target in which a bin differs. */
  readonly tell: (target: UnknownTarget) => void;
  readonly progress?: (done: number, total: number) => void;
}

export interface ComparedBins {
  /** The bins in their public version, ascending. */
  readonly bins: readonly BinState[];
  /** Names of bins whose former content is no longer in the store. */
  readonly withoutBase: readonly string[];
}

/**
 * Verifies every bin whose version is not the ledger's.
 * @throws CountersignError `version-rollback`, `metadata-missing`, and what a client finds wrong with a bin.
 */
export async function compareBins(comparison: BinComparison): Promise<ComparedBins> {
  const { snapshot, known, progress } = comparison;
  const states = new Map(known.map((state) => [state.bin, state]));
  const changed = snapshot.kept.filter((bin) => {
    const version = states.get(bin)?.version ?? 0;
    const name = snapshot.nameOf(bin);
    checkNoRollback(`${name} in snapshot ${snapshot.version}`, snapshot.versionOf(bin), version);
    return snapshot.versionOf(bin) > version;
  });
  const withoutBase: string[] = [];
  let done = 0;
  const bins = await mapConcurrent(changed, READS_IN_FLIGHT, async (bin) => {
    const { state, document } = await readBin(comparison, bin);
    const before = states.get(bin);
    const base = before && (await readBase(comparison, before));
    if (base === undefined) {
      withoutBase.push(versionedName(snapshot.nameOf(bin), before?.version ?? snapshot.versionOf(bin)));
    }
    for (const difference of differences(base, document)) comparison.tell(difference);
    progress?.(++done, changed.length);
    return state;
  });
  return { bins, withoutBase: withoutBase.sort() };
}

async function readBin(
  { store, trust: current, snapshot, lifetimeMs }: BinComparison,
  bin: number,
): Promise<{ state: BinState; document: BinDocument }> {
  const version = snapshot.versionOf(bin);
  const trust = { ...current, layout: snapshot.layoutOf(bin) };
  const name = versionedName(trust.layout.name(bin), version);
  const object = await store.get(name, MAX_METADATA_BYTES.targets);
  if (object === undefined) throw new CountersignError('metadata-missing', `${name} is not in the store`);
  const { bytes } = object;
  const document = await verifyBinFile(bytes, trust, bin, version, { now: 0, expiry: 'ignored' });
  checkBinPaths(document, trust.layout, bin);
  const expires = parseExpires(document.expires);
  const keyids = splitMetadataFile(bytes)
    .signatures.map(({ keyid }) => keyid)
    .filter((keyid) => trust.keyids.includes(keyid));
  const signedAt = Math.max(0, expires - lifetimeMs);
  return { state: { bin, version, sha256: sha256Hex(bytes), signedAt, expires, keyids }, document };
}

/** The bin as the ledger knew it; undefined when that version was collected. */
async function readBase(
  { store, snapshot }: BinComparison,
  { bin, version, sha256 }: BinState,
): Promise<BinDocument | undefined> {
  const name = versionedName(snapshot.nameOf(bin), version);
  const object = await store.get(name, MAX_METADATA_BYTES.targets);
  if (object === undefined) return undefined;
  const digest = sha256Hex(object.bytes);
  if (digest !== sha256) {
    throw new CountersignError(
      'length-or-hash-mismatch',
      `${name} in the store has sha256 ${digest}, the ledger says ${sha256}: restore the object first`,
    );
  }
  return BinDocument.parse(splitMetadataFile(object.bytes).signed);
}

function* differences(base: BinDocument | undefined, next: BinDocument): Generator<UnknownTarget> {
  for (const [path, target] of next.entries()) {
    if (base === undefined) {
      yield { op: 'listed', path, target };
      continue;
    }
    const previous = base.get(path);
    if (previous === undefined) yield { op: 'added', path, target };
    else if (!isSameTarget(previous, target)) yield { op: 'replaced', path, target, previous };
  }
  for (const [path, previous] of base?.entries() ?? []) {
    if (next.get(path) === undefined) yield { op: 'removed', path, previous };
  }
}

/** Whether both say the same of a file, `custom` included. */
export function isSameTarget(a: TargetFile, b: TargetFile): boolean {
  return canonicalJson(a as unknown as Canonicalizable) === canonicalJson(b as unknown as Canonicalizable);
}
