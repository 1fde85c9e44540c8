// Timestamp, and snapshots: the current one, and those that the store still holds.
import { CountersignError } from '../../lib/errors.ts';
import { TIMESTAMP_NAME, versionedName } from '../../tuf/layout.ts';
import { splitMetadataFile, type MetadataFile } from '../../tuf/metadata-file.ts';
import { MAX_METADATA_BYTES } from '../../tuf/metadata-limits.ts';
import type { Root, SnapshotReference, Timestamp } from '../../tuf/metadata.ts';
import { parseTimestamp } from '../../tuf/parse-timestamp.ts';
import { SnapshotDocument } from '../../tuf/snapshot-document.ts';
import { checkSnapshotBytes, topLevelTrust } from '../../tuf/verify-roles.ts';
import type { RepositorySource } from '../source.ts';
import { inspectSnapshotFields, inspectTimestampFields } from './fields.ts';
import { Findings } from './findings.ts';
import {
  checkExpiresForm,
  checkOneSignatureEach,
  inspectFile,
  noting,
  parsing,
  readObject,
  type FileView,
} from './form.ts';
import { checkExpiry, checkSignatures, checkVersionNumber } from './role-checks.ts';

export interface OnlinePorts {
  readonly source: RepositorySource;
  readonly findings: Findings;
  /** All roots that hold, ascending. */
  readonly roots: readonly Root[];
}

export async function checkTimestamp(
  { source, findings, roots }: OnlinePorts,
  now: number,
): Promise<Timestamp | undefined> {
  const name = TIMESTAMP_NAME;
  const bytes = await readObject(source, findings, name, MAX_METADATA_BYTES.timestamp, 'tuf-5.4.1');
  if (bytes === undefined) return undefined;
  const before = findings.count;
  const view = inspectFile(findings, name, 'timestamp', bytes);
  if (view === undefined) return undefined;
  inspectTimestampFields(findings, name, view.signed);
  const timestamp = parsing(findings, name, before, () => parseTimestamp(bytes))?.signed;
  const root = roots.at(-1);
  if (root !== undefined) {
    const trust = topLevelTrust(root, 'timestamp');
    await checkSignatures(findings, 'tuf-5.4.2', name, trust, view.signedBytes, view.signatures);
  }
  checkExpiry(findings, 'tuf-5.4.4', name, view.signed.get('expires'), now);
  return timestamp;
}

/** The snapshot that timestamp names. */
export async function checkCurrentSnapshot(
  ports: OnlinePorts,
  reference: SnapshotReference,
  now: number,
): Promise<SnapshotDocument | undefined> {
  const { source, findings, roots } = ports;
  const name = versionedName('snapshot', reference.version);
  const bytes = await readObject(source, findings, name, MAX_METADATA_BYTES.snapshot, 'tuf-5.5.1');
  if (bytes === undefined) return undefined;
  noting(findings, 'tuf-5.5.2', name, () => {
    checkSnapshotBytes(bytes, reference);
  });
  return checkSnapshot(findings, name, bytes, reference.version, roots.slice(-1), now);
}

/** An older snapshot; it may have expired, and its key may have been rotated since. */
export async function checkOlderSnapshot(
  { source, findings, roots }: OnlinePorts,
  version: number,
): Promise<SnapshotDocument | undefined> {
  const name = versionedName('snapshot', version);
  const bytes = await readObject(source, findings, name, MAX_METADATA_BYTES.snapshot, 'storage-retained');
  if (bytes === undefined) return undefined;
  return checkSnapshot(findings, name, bytes, version, roots, undefined);
}

async function checkSnapshot(
  findings: Findings,
  name: string,
  bytes: Uint8Array,
  version: number,
  roots: readonly Root[],
  now: number | undefined,
): Promise<SnapshotDocument | undefined> {
  const before = findings.count;
  const read = readSnapshot(bytes) ?? inspectSnapshot(findings, name, bytes);
  if (read === undefined) return undefined;
  const { file, document } = read;
  if (document !== undefined && read.view === undefined) {
    checkExpiresForm(findings, name, document.expires);
    checkOneSignatureEach(findings, name, file.signatures);
  }
  await checkAnySignature(findings, name, roots, file);
  checkVersionNumber(
    findings,
    'tuf-5.5.4',
    name,
    document?.version ?? read.view?.signed.get('version'),
    version,
  );
  checkExpiry(findings, 'tuf-5.5.6', name, document?.expires ?? read.view?.signed.get('expires'), now);
  return document ?? parsing(findings, name, before, () => SnapshotDocument.parse(file.signed));
}

interface ReadSnapshot {
  readonly file: MetadataFile;
  /** Set when the file has the one form that the publisher writes. */
  readonly document?: SnapshotDocument;
  readonly view?: FileView;
}

/** The fast way, for the form that the publisher writes: canonical, with versions only. */
function readSnapshot(bytes: Uint8Array): ReadSnapshot | undefined {
  try {
    const file = splitMetadataFile(bytes);
    return { file, document: SnapshotDocument.parse(file.signed) };
  } catch (error) {
    if (error instanceof CountersignError) return undefined;
    throw error;
  }
}

function inspectSnapshot(findings: Findings, name: string, bytes: Uint8Array): ReadSnapshot | undefined {
  const view = inspectFile(findings, name, 'snapshot', bytes);
  if (view === undefined) return undefined;
  inspectSnapshotFields(findings, name, view.signed);
  return { file: { signed: view.signedBytes, signatures: view.signatures }, view };
}

/** Signed as one of the roots says; what is noted is what the newest root has to say. */
async function checkAnySignature(
  findings: Findings,
  name: string,
  roots: readonly Root[],
  { signed, signatures }: MetadataFile,
): Promise<void> {
  let newest: Findings | undefined;
  for (const root of [...roots].reverse()) {
    const attempt = new Findings();
    const trust = topLevelTrust(root, 'snapshot');
    if (await checkSignatures(attempt, 'tuf-5.5.3', name, trust, signed, signatures)) return;
    newest ??= attempt;
  }
  findings.merge(newest);
}
