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

/**
 * Signs bins, all in one call of each signer; each bin bears every signer's signature. `at`: time T of the publication,
 * milliseconds since the epoch.
 */
export async function sealBins(
  signers: readonly Signer[],
  roles: OfflineRoles,
  bins: readonly BinToSeal[],
  at: number,
): Promise<SealedFile[]> {
  const { layout } = roles.binTrust;
  const trust = signedByAll(roles.binTrust, signers);
  const files = await signFiles(
    signers,
    bins.map(({ document }) => document.signed),
  );
  return Promise.all(
    bins.map(async ({ index, document: { version } }, i) => {
      const bytes = files[i] ?? Buffer.alloc(0);
      const name = versionedName(layout.name(index), version);
      return seal(name, bytes, () =>
        verifyBinFile(bytes, trust, index, version, { now: at, expiry: 'enforced' }),
      );
    }),
  );
}

export async function sealSnapshot(
  signers: readonly Signer[],
  roles: OfflineRoles,
  { signed, version }: SnapshotDocument,
): Promise<SealedFile> {
  const [bytes = Buffer.alloc(0)] = await signFiles(signers, [signed]);
  return seal(versionedName('snapshot', version), bytes, async () => {
    const verified = await verifySnapshotFile(bytes, signedByAll(roles.snapshotTrust, signers));
    checkVersion('snapshot', verified.version, version);
  });
}

/** Timestamp always gives length and hash of the snapshot (interop rule 7). */
export async function sealTimestamp(
  signers: readonly Signer[],
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
  const [bytes = Buffer.alloc(0)] = await signFiles(signers, [signed]);
  return seal(TIMESTAMP_NAME, bytes, async () => {
    await verifyEnvelope('timestamp', signedByAll(roles.timestampTrust, signers), parseTimestamp(bytes));
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

/** Every signature that was asked for must verify: the newer key's is the one that clients will need alone one day. */
export function signedByAll<T extends RoleTrust>(trust: T, signers: readonly Signer[]): T {
  return { ...trust, threshold: signers.length };
}

async function signFiles(signers: readonly Signer[], messages: readonly Uint8Array[]): Promise<Buffer[]> {
  const lists = await Promise.all(signers.map((signer) => signAll(signer, messages)));
  return messages.map((message, i) =>
    metadataFile(
      message,
      lists.map((signatures, n) => ({
        keyid: signers[n]?.keyid ?? '',
        sig: Buffer.from(signatures[i] ?? []).toString('hex'),
      })),
    ),
  );
}

async function signAll(signer: Signer, messages: readonly Uint8Array[]): Promise<readonly Uint8Array[]> {
  const signatures = await signer.sign(messages);
  if (signatures.length === messages.length) return signatures;
  throw new CountersignError(
    'signer-invalid',
    `signer ${signer.keyid} gave ${signatures.length} signatures for ${messages.length} messages`,
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
