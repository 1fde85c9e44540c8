// Signing, and the proof that it went right: a file is sealed only after the client's own code has verified the fresh
// bytes. Only this module makes a SealedFile, and only a SealedFile can be written (./write.ts).
//
// May assume: the documents were edited from verified ones. Next: ./write.ts
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { Signer } from '../signing/signer.ts';
import type { BinDocument } from '../tuf/bin-document.ts';
import type { BundledFile, VerifiedBundle } from '../tuf/bundle.ts';
import { canonicalBytes } from '../tuf/canonical-json.ts';
import { binsTrust } from '../tuf/delegations.ts';
import { TIMESTAMP_NAME, versionedName } from '../tuf/layout.ts';
import { metadataFile } from '../tuf/metadata-file.ts';
import { SPEC_VERSION, type SnapshotReference } from '../tuf/metadata.ts';
import { parseTimestamp } from '../tuf/parse-timestamp.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { verifyEnvelope, type RoleTrust } from '../tuf/threshold.ts';
import { checkVersion, topLevelTrust, verifyBinFile, verifySnapshotFile } from '../tuf/verify-roles.ts';
import type { OfflineRoles } from './verified-reads.ts';

declare const sealed: unique symbol;

/** A file that verifies. */
export interface SealedFile {
  readonly [sealed]: true;
  readonly name: string;
  readonly bytes: Buffer;
}

export interface BinToSeal {
  readonly index: number;
  readonly document: BinDocument;
}

/** Signs bins, all in one call of the signer. `at`: time T of the publication, milliseconds since the epoch. */
export async function sealBins(
  signer: Signer,
  roles: OfflineRoles,
  bins: readonly BinToSeal[],
  at: number,
): Promise<SealedFile[]> {
  const { layout } = roles.binTrust;
  const files = await signFiles(
    signer,
    bins.map(({ document }) => document.signed),
  );
  return Promise.all(
    bins.map(async ({ index, document: { version } }, i) => {
      const bytes = files[i] ?? Buffer.alloc(0);
      const name = versionedName(layout.name(index), version);
      return seal(name, bytes, () =>
        verifyBinFile(bytes, roles.binTrust, index, version, { now: at, expiry: 'enforced' }),
      );
    }),
  );
}

export async function sealSnapshot(
  signer: Signer,
  roles: OfflineRoles,
  { signed, version }: SnapshotDocument,
): Promise<SealedFile> {
  const [bytes = Buffer.alloc(0)] = await signFiles(signer, [signed]);
  return seal(versionedName('snapshot', version), bytes, async () => {
    const verified = await verifySnapshotFile(bytes, roles.snapshotTrust);
    checkVersion('snapshot', verified.version, version);
  });
}

/** Timestamp always gives length and hash of the snapshot (interop rule 7). */
export async function sealTimestamp(
  signer: Signer,
  roles: OfflineRoles,
  version: number,
  expires: string,
  snapshot: SnapshotReference,
): Promise<SealedFile> {
  const signed = canonicalBytes({
    _type: 'timestamp',
    expires,
    meta: { 'snapshot.json': { ...snapshot, hashes: { ...snapshot.hashes } } },
    spec_version: SPEC_VERSION,
    version,
  });
  const [bytes = Buffer.alloc(0)] = await signFiles(signer, [signed]);
  return seal(TIMESTAMP_NAME, bytes, async () => {
    await verifyEnvelope('timestamp', roles.timestampTrust, parseTimestamp(bytes));
  });
}

/** The files that a ceremony made, with whom to verify each by. Its bundle was verified: nothing is signed here. */
export function sealedBundle({ roots, targets, bins, trusted }: VerifiedBundle): SealedOfflineFile[] {
  const offline = (role: string, { version, bytes }: BundledFile, trust: RoleTrust): SealedOfflineFile => ({
    file: { name: versionedName(role, version), bytes } as SealedFile,
    trust,
  });
  const root = trusted.root.signed;
  return [
    ...roots.map((file) => offline('root', file, topLevelTrust(root, 'root'))),
    offline('targets', targets, topLevelTrust(root, 'targets')),
    offline('bins', bins, binsTrust(trusted.targets.signed)),
  ];
}

export interface SealedOfflineFile {
  readonly file: SealedFile;
  readonly trust: RoleTrust;
}

async function signFiles(signer: Signer, messages: readonly Uint8Array[]): Promise<Buffer[]> {
  const signatures = await signer.sign(messages);
  if (signatures.length !== messages.length) {
    throw new CountersignError(
      'signer-invalid',
      `signer ${signer.keyid} gave ${signatures.length} signatures for ${messages.length} messages`,
    );
  }
  return messages.map((message, i) =>
    metadataFile(message, [{ keyid: signer.keyid, sig: Buffer.from(signatures[i] ?? []).toString('hex') }]),
  );
}

async function seal(name: string, bytes: Buffer, verify: () => Promise<unknown>): Promise<SealedFile> {
  try {
    await verify();
  } catch (error) {
    // A wrong signature, a wrong key or a fault of ours: nothing of it is ever written.
    throw new CountersignError(
      'signer-invalid',
      `${name} does not verify after signing: ${messageOf(error)}`,
      {
        cause: error,
      },
    );
  }
  return { name, bytes } as SealedFile;
}
