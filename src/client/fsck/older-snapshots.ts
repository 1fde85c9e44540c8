// The snapshots that the store still holds beside the current one: whoever read timestamp a moment ago needs them whole.
// Two snapshots are in memory at any time.
import { mapConcurrent } from '../../lib/concurrency.ts';
import { versionedName } from '../../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../../tuf/metadata-limits.ts';
import type { SnapshotDocument } from '../../tuf/snapshot-document.ts';
import { checkBin } from './bin.ts';
import { Findings } from './findings.ts';
import { noting, readObject } from './form.ts';
import type { Listing } from './listing.ts';
import type { OfflineRoles } from './offline-roles.ts';
import { checkOlderSnapshot, type OnlinePorts } from './online-roles.ts';
import { checkNoRollback } from '../../tuf/verify-roles.ts';

export interface OlderPorts extends OnlinePorts {
  readonly listing: Listing;
  /** The snapshot that was current when the listing began: later ones may be missing in it. */
  readonly listedUpTo: number;
  /** Whether snapshots may be missing between the oldest and the current one. */
  readonly mayHaveGaps: boolean;
  readonly offline: OfflineRoles;
  readonly readsInFlight: number;
}

export async function checkOlderSnapshots(ports: OlderPorts, current: SnapshotDocument): Promise<void> {
  const { findings, listing, listedUpTo, mayHaveGaps } = ports;
  const end = Math.min(current.version, listedUpTo + 1);
  const versions = listing.versions('snapshot').filter((version) => version < end);
  let previous: SnapshotDocument | undefined;
  let expected = versions[0] ?? end;
  for (const version of versions) {
    if (!mayHaveGaps) noteGap(findings, expected, version);
    expected = version + 1;
    const snapshot = await checkOlderSnapshot(ports, version);
    if (snapshot === undefined) continue;
    if (previous !== undefined) await checkOrder(ports, previous, snapshot);
    await checkOlderBins(ports, previous, snapshot, current);
    previous = snapshot;
  }
  if (!mayHaveGaps) noteGap(findings, expected, end);
  if (previous !== undefined) await checkOrder(ports, previous, current);
}

function noteGap(findings: Findings, from: number, to: number): void {
  if (from >= to) return;
  const names = from === to - 1 ? 'is absent' : `and all up to version ${to - 1} are absent`;
  findings.add('storage-gap', versionedName('snapshot', from), `${names}, older ones are there`);
}

/** TUF 5.5.5, and interop rule 12. */
async function checkOrder(
  ports: OnlinePorts,
  before: SnapshotDocument,
  after: SnapshotDocument,
): Promise<void> {
  const { findings } = ports;
  const name = versionedName('snapshot', after.version);
  const compare = (role: string, next: number, earlier: number): void => {
    if (next >= earlier) return;
    noting(findings, 'tuf-5.5.5', name, () => {
      checkNoRollback(`${role} in snapshot ${after.version}`, next, earlier);
    });
  };
  compare('targets', after.targetsVersion, before.targetsVersion);
  compare('bins', after.binsVersion, before.binsVersion);
  for (const layout of before.layouts) {
    const first = before.firstListed(layout);
    if (after.firstListed(layout) > first) {
      if (await isForgotten(ports, before.version)) continue;
      const was = `snapshot ${before.version} names ${layout.name(first)} of ${layout.count} bins`;
      findings.add('interop-12', name, `does not name all bins of before: ${was}`);
      continue;
    }
    // What nobody reads any more is not published either.
    const isFormer = layout.generation < before.layout.generation;
    for (let bin = first; layout.has(bin); bin++) {
      compare(layout.name(bin), after.versionOf(bin), before.versionOf(bin));
      if (isFormer && after.versionOf(bin) > before.versionOf(bin)) {
        const says = `snapshot ${before.version} said ${before.versionOf(bin)}`;
        findings.add(
          'former-bins',
          name,
          `names ${layout.name(bin)} version ${after.versionOf(bin)}, ${says}`,
        );
      }
    }
  }
}

/** Clients forget a snapshot that does not verify with the newest root: its key was exchanged (TUF 5.3.11). */
async function isForgotten({ source, roots }: OnlinePorts, version: number): Promise<boolean> {
  const attempt = new Findings();
  await checkOlderSnapshot({ source, findings: attempt, roots: roots.slice(-1) }, version);
  return attempt.count > 0;
}

/** The bins that this snapshot names, and neither the one before nor the current one does. */
async function checkOlderBins(
  { source, findings, listing, offline, readsInFlight }: OlderPorts,
  previous: SnapshotDocument | undefined,
  snapshot: SnapshotDocument,
  current: SnapshotDocument,
): Promise<void> {
  const bins = snapshot.kept.filter((index) => {
    const version = snapshot.versionOf(index);
    return previous?.keptVersion(index) !== version && current.keptVersion(index) !== version;
  });
  const currentTrust = await offline.trustOf(snapshot);
  const found = await mapConcurrent(bins, readsInFlight, async (index) => {
    const own = new Findings();
    const version = snapshot.versionOf(index);
    const layout = snapshot.layoutOf(index);
    const trust = currentTrust && { ...currentTrust, layout };
    const name = versionedName(layout.name(index), version);
    if (!listing.has(layout.name(index), version)) {
      own.add('storage-retained', name, `is absent, snapshot ${snapshot.version} names it`);
    } else {
      const max = MAX_METADATA_BYTES.targets;
      const bytes = await readObject(source, own, name, max, 'storage-retained');
      if (bytes !== undefined && trust !== undefined) {
        await checkBin(own, name, bytes, { index, version, trust });
      }
    }
    return own;
  });
  for (const own of found) findings.merge(own);
}
