// One bin: form, paths, signature, version, expiry.
import { BinDocument } from '../../tuf/bin-document.ts';
import type { BinLayout } from '../../tuf/bins.ts';
import type { BinsTrust } from '../../tuf/delegations.ts';
import type { JsonMap } from '../../tuf/json.ts';
import { splitMetadataFile } from '../../tuf/metadata-file.ts';
import type { Signature } from '../../tuf/metadata.ts';
import { inspectTargetsFields } from './fields.ts';
import type { Findings } from './findings.ts';
import { inspectFile, noting } from './form.ts';
import { checkExpiry, checkSignatures, checkVersionNumber } from './role-checks.ts';
import { scanBin } from './scan-bin.ts';

export interface ExpectedBin {
  readonly index: number;
  readonly version: number;
  readonly trust: BinsTrust;
  /** Milliseconds since the epoch; undefined for a bin of an older snapshot, which may have expired. */
  readonly now?: number;
}

/** What was read of a bin, for the comparison with the ledger. */
export interface CheckedBin {
  readonly version: number;
  readonly expires: string;
}

interface ReadBin {
  readonly version: unknown;
  readonly expires: unknown;
  readonly signed: Uint8Array;
  readonly signatures: readonly Signature[];
  readonly strays: readonly string[];
}

export async function checkBin(
  findings: Findings,
  name: string,
  bytes: Uint8Array,
  expected: ExpectedBin,
): Promise<CheckedBin | undefined> {
  const { trust, index } = expected;
  const bin = scanBin(bytes, trust.layout, index) ?? inspectBin(findings, name, bytes, trust.layout, index);
  if (bin === undefined) return undefined;
  for (const path of bin.strays) {
    const home = trust.layout.name(trust.layout.indexOf(path));
    findings.add('tuf-5.6.7', name, `lists ${path}, which belongs to ${home}`);
  }
  await checkSignatures(findings, 'tuf-5.6.3', name, trust, bin.signed, bin.signatures);
  checkVersionNumber(findings, 'tuf-5.6.4', name, bin.version, expected.version);
  checkExpiry(findings, 'tuf-5.6.5', name, bin.expires, expected.now);
  if (typeof bin.version !== 'number' || typeof bin.expires !== 'string') return undefined;
  return { version: bin.version, expires: bin.expires };
}

/** The slow way: every fault by its rule. */
function inspectBin(
  findings: Findings,
  name: string,
  bytes: Uint8Array,
  layout: BinLayout,
  index: number,
): ReadBin | undefined {
  const before = findings.count;
  const view = inspectFile(findings, name, 'targets', bytes);
  if (view === undefined) return undefined;
  const { signed, signedBytes, signatures } = view;
  inspectTargetsFields(findings, name, signed);
  if (signed.has('delegations')) findings.add('pep458-roles', name, 'delegates, expected target files only');
  if (findings.count === before) {
    // Not the form that the publisher writes, and reads: it would take the bin for altered.
    noting(findings, 'tuf-4', name, () => BinDocument.parse(splitMetadataFile(bytes).signed));
  }
  const targets = signed.get('targets');
  const paths = targets instanceof Map ? [...(targets as JsonMap).keys()] : [];
  return {
    version: signed.get('version'),
    expires: signed.get('expires'),
    signed: signedBytes,
    signatures,
    strays: paths.filter((path) => layout.indexOf(path) !== index),
  };
}
