// fsck: derives a whole repository anew from what is public, and lists every rule that it does not keep
// (fsck/rules.ts). It shares the parsers and the threshold check with the client, and nothing with the publisher.
//
// Memory does not grow with the number of targets. On a store that is being published to, objects of the publication in
// progress are no violation.
import { mapConcurrent } from '../lib/concurrency.ts';
import { TIMESTAMP_NAME, versionedName } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import { parseRoot } from '../tuf/parse-root.ts';
import { parseTimestamp } from '../tuf/parse-timestamp.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { BinDocument } from '../tuf/bin-document.ts';
import { splitMetadataFile } from '../tuf/metadata-file.ts';
import { checkBin } from './fsck/bin.ts';
import { Findings, type Violation } from './fsck/findings.ts';
import { noting, readObject } from './fsck/form.ts';
import { checkLedgerHead, LedgerBins, type LedgerView } from './fsck/ledger-view.ts';
import { Listing } from './fsck/listing.ts';
import { OfflineRoles } from './fsck/offline-roles.ts';
import { checkOlderSnapshots } from './fsck/older-snapshots.ts';
import { checkCurrentSnapshot, checkTimestamp, type OnlinePorts } from './fsck/online-roles.ts';
import { PageCheck } from './fsck/pages.ts';
import { checkRoots } from './fsck/roots.ts';
import type { RepositorySource } from './source.ts';

export type { LedgerView, Violation };

/** Bins read and verified at once. */
const READS_IN_FLIGHT = 16;

/** Bins between two hand-overs of violations. */
const PORTION = 256;

export interface FsckOptions {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** A root file that somebody trusts; it must be the one of its version, and all that follow must lead on from it. */
  readonly trustedRoot?: Uint8Array;
  /**
   * The store is a mirror: it need not hold every snapshot that upstream had, and what it takes over while it is being
   * looked at may be many publications ahead.
   */
  readonly mirror?: boolean;
  /** The ledger of this store, to be compared with it. */
  readonly ledger?: LedgerView;
  /** Whether this repository renders simple index pages: they are compared with the files. */
  readonly renderedPages?: boolean;
  /** Called with bins checked, and their number. */
  readonly progress?: (done: number, total: number) => void;
}

/**
 * Lists every violation. None: the repository is sound. What lies behind a violation may be unreadable because of it;
 * it is looked at once that one is gone.
 * @throws CountersignError `store-unavailable`; `metadata-invalid` when `trustedRoot` is no root.
 */
export async function* fsck(source: RepositorySource, options: FsckOptions): AsyncGenerator<Violation> {
  const { now, ledger } = options;
  const findings = new Findings();
  const trusted = options.trustedRoot === undefined ? undefined : parseRoot(options.trustedRoot);
  const headBefore = await ledger?.head();
  // What became public while the store was being listed may be in the list or not.
  const listedUpTo = await newestSnapshot(source);
  const listing = await Listing.read(source, findings);
  const roots = await checkRoots({ source, findings, listing, trusted, now });
  yield* findings.drain();

  const ports: OnlinePorts = { source, findings, roots };
  const timestamp = await checkTimestamp(ports, now);
  const reference = timestamp?.meta['snapshot.json'];
  const snapshot = reference && (await checkCurrentSnapshot(ports, reference, now));
  if (ledger !== undefined && timestamp !== undefined) {
    await checkLedgerHead(findings, ledger, headBefore, timestamp, snapshot);
  }
  yield* findings.drain();
  if (snapshot === undefined) return;

  const offline = new OfflineRoles(ports);
  yield* checkCurrentBins({ ...ports, offline }, snapshot, options);
  if (listing === undefined) return;
  const isMirror = options.mirror === true;
  const published = Math.max(0, (await newestSnapshot(source)) - snapshot.version);
  listing.check(findings, snapshot, isMirror ? Number.POSITIVE_INFINITY : published);
  const older = {
    ...ports,
    listing,
    listedUpTo,
    mayHaveGaps: isMirror,
    offline,
    readsInFlight: READS_IN_FLIGHT,
  };
  await checkOlderSnapshots(older, snapshot);
  yield* findings.drain();
}

interface BinPorts extends OnlinePorts {
  readonly offline: OfflineRoles;
}

async function* checkCurrentBins(
  { source, findings, offline }: BinPorts,
  snapshot: SnapshotDocument,
  { now, ledger, renderedPages = false, progress }: FsckOptions,
): AsyncGenerator<Violation> {
  const current = await offline.trustOf(snapshot, now);
  const known = ledger && (await LedgerBins.read(ledger, snapshot.version));
  yield* findings.drain();
  const pages = renderedPages ? new PageCheck(source) : undefined;
  const check = async (index: number): Promise<Findings> => {
    const own = new Findings();
    const version = snapshot.versionOf(index);
    const layout = snapshot.layoutOf(index);
    const name = versionedName(layout.name(index), version);
    // Bins that are being prepared are signed by the key of the current ones (ADR 20).
    const trust = current && { ...current, layout };
    const bytes = await readObject(source, own, name, MAX_METADATA_BYTES.targets, 'tuf-5.6.1');
    const bin = bytes && trust && (await checkBin(own, name, bytes, { index, version, trust, now }));
    known?.check(own, name, index, version, bin?.expires);
    if (pages !== undefined && bytes !== undefined && bin !== undefined && own.count === 0) {
      pages.takeBin(BinDocument.parse(splitMetadataFile(bytes).signed));
    }
    return own;
  };
  const bins = snapshot.kept;
  for (let done = 0; done < bins.length; done += PORTION) {
    const portion = bins.slice(done, done + PORTION);
    for (const own of await mapConcurrent(portion, READS_IN_FLIGHT, check)) yield* own.drain();
    progress?.(done + portion.length, bins.length);
  }
  await pages?.finish(findings);
  yield* findings.drain();
}

/** The snapshot that is current at this moment, 0 when nobody can tell: publications go on while a store is read. */
async function newestSnapshot(source: RepositorySource): Promise<number> {
  const name = TIMESTAMP_NAME;
  const unheard = new Findings();
  const bytes = await readObject(source, unheard, name, MAX_METADATA_BYTES.timestamp, 'tuf-5.4.1');
  const timestamp = bytes && noting(unheard, 'tuf-4', name, () => parseTimestamp(bytes).signed);
  return timestamp?.meta['snapshot.json'].version ?? 0;
}
