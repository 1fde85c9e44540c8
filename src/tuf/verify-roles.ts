// Single checks of single roles, each a clause of the client workflow (TUF 5.3 to 5.6). trusted-set.ts puts them in
// order; bundle.ts, the publisher's self-verification and fsck use them by themselves.
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import { BinDocument } from './bin-document.ts';
import type { BinLayout } from './bins.ts';
import type { BinsTrust } from './delegations.ts';
import type { Envelope } from './envelope.ts';
import { parseExpires } from './lifetimes.ts';
import { splitMetadataFile } from './metadata-file.ts';
import { MAX_METADATA_BYTES } from './metadata-limits.ts';
import type { Root, SnapshotReference, Timestamp, TopLevelRole } from './metadata.ts';
import { SnapshotDocument } from './snapshot-document.ts';
import { verifyDocument, verifyEnvelope, type RoleTrust, type Verified } from './threshold.ts';

/**
 * Clients enforce expiry. The service itself must be able to read what it published before a downtime of more than a
 * day, because renewing expired roles is exactly its task: it starts with `ignored`. Everything else is still checked.
 */
export type ExpiryPolicy = 'enforced' | 'ignored';

/** When a verification takes place. */
export interface Moment {
  /** Milliseconds since the epoch. TUF 5.1: "record … the time at which the update began". */
  readonly now: number;
  readonly expiry: ExpiryPolicy;
}

/**
 * TUF 5.3.10, 5.4.4, 5.5.6, 5.6.5: a role is valid before its expiry, not at it.
 * @throws CountersignError `metadata-expired` that names the role and both times.
 */
export function checkNotExpired(role: string, expires: string, { now, expiry }: Moment): void {
  if (expiry === 'ignored' || now < parseExpires(expires)) return;
  const time = new Date(now).toISOString();
  throw new CountersignError('metadata-expired', `role ${role} expired at ${expires}, it is ${time}`, {
    details: { role },
  });
}

/**
 * @throws CountersignError `metadata-invalid` when a role does not have the one version that was asked for.
 */
export function checkVersion(role: string, actual: number, expected: number): void {
  if (actual === expected) return;
  throw new CountersignError(
    'metadata-invalid',
    `role ${role} has version ${actual}, expected version ${expected}`,
    { details: { role } },
  );
}

/**
 * @throws CountersignError `version-rollback` when a version is below the trusted one.
 */
export function checkNoRollback(what: string, next: number, trusted: number): void {
  if (next >= trusted) return;
  throw new CountersignError(
    'version-rollback',
    `version ${next} of ${what} is below the trusted ${trusted}`,
  );
}

/** The keys of a top-level role, as root says. */
export function topLevelTrust(root: Root, role: TopLevelRole): RoleTrust {
  return { keys: root.keys, ...root.roles[role] };
}

/**
 * A root that follows a trusted one.
 * @throws CountersignError `signature-invalid`, `version-rollback`, `metadata-invalid`.
 */
export async function verifyNextRoot(trusted: Root, next: Envelope<Root>): Promise<Verified<Envelope<Root>>> {
  // TUF 5.3.4: signed by a threshold of the trusted root's keys, and of its own.
  await verifyEnvelope('root', topLevelTrust(trusted, 'root'), next);
  const verified = await verifyEnvelope('root', topLevelTrust(next.signed, 'root'), next);
  // TUF 5.3.5: exactly N+1. A lower version is an attack and named so.
  checkNoRollback('root', next.signed.version, trusted.version);
  checkVersion('root', next.signed.version, trusted.version + 1);
  return verified;
}

/**
 * TUF 5.5.2: the snapshot file has the length and the hash that timestamp gives.
 * @throws CountersignError `length-or-hash-mismatch`.
 */
export function checkSnapshotBytes(bytes: Uint8Array, reference: SnapshotReference): void {
  const mismatch = (what: string, actual: string | number, expected: string | number): CountersignError =>
    new CountersignError(
      'length-or-hash-mismatch',
      `snapshot ${reference.version} has ${what} ${actual}, timestamp says ${expected}`,
    );
  if (bytes.length !== reference.length) throw mismatch('length', bytes.length, reference.length);
  const hash = sha256Hex(bytes);
  if (hash !== reference.hashes.sha256) throw mismatch('sha256', hash, reference.hashes.sha256);
}

/**
 * Reads a snapshot file and checks its signatures: TUF 5.5.3.
 * @throws CountersignError `metadata-too-large`, `metadata-invalid`, `signature-invalid`.
 */
export async function verifySnapshotFile(
  bytes: Uint8Array,
  trust: RoleTrust,
): Promise<Verified<SnapshotDocument>> {
  checkSize('snapshot', bytes, MAX_METADATA_BYTES.snapshot);
  const file = splitMetadataFile(bytes);
  return verifyDocument('snapshot', trust, SnapshotDocument.parse(file.signed), file);
}

/**
 * TUF 5.4.3: neither the timestamp nor the snapshot it names goes back. False when the new one has the version of the
 * trusted one: "discard the new timestamp … this is normal", whatever it says.
 * @throws CountersignError `version-rollback`.
 */
export function isNewerTimestamp(next: Timestamp, trusted: Timestamp): boolean {
  if (next.version === trusted.version) return false;
  checkNoRollback('timestamp', next.version, trusted.version); // TUF 5.4.3.1
  const name = 'snapshot.json';
  checkNoRollback('snapshot in timestamp', next.meta[name].version, trusted.meta[name].version); // TUF 5.4.3.2
  return true;
}

/**
 * TUF 5.5.5: no role in the snapshot goes back, and none leaves it.
 * @throws CountersignError `version-rollback`, `metadata-invalid`.
 */
export function checkSnapshotOrder(next: SnapshotDocument, trusted: SnapshotDocument): void {
  checkNoRollback('targets in snapshot', next.targetsVersion, trusted.targetsVersion);
  checkNoRollback('bins in snapshot', next.binsVersion, trusted.binsVersion);
  for (const layout of trusted.layouts) {
    const first = trusted.firstListed(layout);
    if (next.firstListed(layout) > first) {
      throw new CountersignError(
        'metadata-invalid',
        `${layout.name(first)} of ${layout.count} bins has left the snapshot: it is in version ${trusted.version} and not ` +
          `in ${next.version}`,
      );
    }
    for (let bin = first; layout.has(bin); bin++) {
      const version = next.versionOf(bin);
      if (version < trusted.versionOf(bin)) {
        checkNoRollback(`${layout.name(bin)} in snapshot`, version, trusted.versionOf(bin));
      }
    }
  }
}

/**
 * The bins that `bins` delegates to are those that the snapshot lists as the current ones.
 * @throws CountersignError `metadata-invalid`.
 */
export function checkSameLayout(delegated: BinLayout, { layout, version }: SnapshotDocument): void {
  if (delegated.isSame(layout)) return;
  throw new CountersignError(
    'metadata-invalid',
    `bins delegates to ${delegated.count} bins ${delegated.prefix}-…, snapshot ${version} lists ${layout.count} bins ` +
      `${layout.prefix}-…`,
  );
}

/**
 * Reads a bin file and checks everything a client checks: signature (TUF 5.6.3), the version that the snapshot names
 * (5.6.4), expiry (5.6.5). That its paths belong here is checkBinPaths' task.
 * @throws CountersignError `metadata-too-large`, `metadata-invalid`, `signature-invalid`, `metadata-expired`.
 */
export async function verifyBinFile(
  bytes: Uint8Array,
  trust: BinsTrust,
  index: number,
  version: number,
  moment: Moment,
): Promise<Verified<BinDocument>> {
  const name = trust.layout.name(index);
  checkSize(name, bytes, MAX_METADATA_BYTES.targets);
  const file = splitMetadataFile(bytes);
  const bin = await verifyDocument(name, trust, BinDocument.parse(file.signed), file);
  checkVersion(name, bin.version, version);
  checkNotExpired(name, bin.expires, moment);
  return bin;
}

/**
 * TUF 5.6.7.2, TAP 15: every path hashes into this bin. A client asks one bin only, so a stray path harms nobody but is
 * never found: fsck's check (1 ms a 1,000 targets), not the hot path's.
 * @throws CountersignError `metadata-invalid` that names the first stray path.
 */
export function checkBinPaths(bin: BinDocument, layout: BinLayout, index: number): void {
  for (const [path] of bin.entries()) {
    const home = layout.indexOf(path);
    if (home !== index) {
      throw new CountersignError(
        'metadata-invalid',
        `${layout.name(index)} lists ${path}, which belongs to ${layout.name(home)}`,
      );
    }
  }
}

function checkSize(role: string, bytes: Uint8Array, maxBytes: number): void {
  if (bytes.length <= maxBytes) return;
  throw new CountersignError(
    'metadata-too-large',
    `${role} has ${bytes.length} bytes, at most ${maxBytes} are allowed`,
  );
}
