// What the record of a ceremony says, before it is laid out: everything follows from the folder, so that each computer
// that has the folder prints the same record, today and years later.
import { sha256Hex } from '../src/lib/bytes.ts';
import { verifyBundle, type VerifiedBundle } from '../src/tuf/bundle.ts';
import { binsTrust } from '../src/tuf/delegations.ts';
import { formatExpires } from '../src/tuf/lifetimes.ts';
import { METADATA_PREFIX, versionedName } from '../src/tuf/layout.ts';
import type { PublicKey } from '../src/tuf/metadata.ts';
import { readBundleFile } from './bundle-file.ts';
import { payloadOf, proposalSource } from './ceremony.ts';
import { MAX_BYTES, readRequired } from './ceremony-folder.ts';
import { describeChanges } from './describe-changes.ts';
import { filesBelow } from './export.ts';
import { loadCeremony } from './load-ceremony.ts';
import type { CeremonyKind } from './plan.ts';
import { headAt, readTranscripts, type TranscriptOfComputer } from './transcript-set.ts';

export interface RecordedFile {
  readonly name: string;
  readonly sha256: string;
}

export interface RecordedRole {
  readonly role: string;
  /** Absent for the online roles, whose version changes all the time. */
  readonly version?: number;
  readonly expires?: string;
  readonly threshold: number;
  readonly keyids: readonly string[];
}

export interface RecordedKey {
  readonly keyid: string;
  /** `ed25519`, `ecdsa-sha2-nistp256`. */
  readonly scheme: string;
  /** Who holds it: a holder's name, `online`, or `one-time` and the role. */
  readonly holder: string;
  readonly made?: 'file' | 'token';
  readonly serial?: string;
}

/** What was done in one folder. */
export interface RecordedTranscript {
  readonly id: string;
  /** Where: the same for two folders of one computer. */
  readonly computer: string;
  readonly version: string;
  /** SHA-256 of the program that ran there. */
  readonly tool: string;
  readonly lines: number;
  readonly head: string;
  readonly passed: readonly string[];
  readonly failed: readonly string[];
  readonly accepted: readonly { readonly check: string; readonly reason: string }[];
}

export interface CeremonyRecord {
  readonly ceremony: string;
  readonly kind: CeremonyKind;
  readonly why: string;
  readonly date: string;
  readonly nextCeremony: string;
  readonly payload: string;
  readonly phrase: readonly string[];
  readonly bundle: string;
  /** Computers on which this very payload was made, as far as their transcripts are here. */
  readonly builtOn: number;
  readonly roles: readonly RecordedRole[];
  readonly keys: readonly RecordedKey[];
  readonly bins: { readonly count: number; readonly format: string };
  /** What is new against the ceremony before: the lines that each signer read. */
  readonly changes: readonly string[];
  /** Metadata files as the repository publishes them, for `record verify`. */
  readonly published: readonly RecordedFile[];
  /** Files of the folder. */
  readonly files: readonly RecordedFile[];
  readonly transcripts: readonly RecordedTranscript[];
  /** Places for signatures by hand: every holder, and those who hold no key. */
  readonly places: number;
}

/** Leader, second reader and witness. */
const WITHOUT_KEY = 3;
/** On every record: a small ceremony has guests, too. */
const LEAST_PLACES = 6;

/** They have places of their own in the record, or are written after it. */
const NOT_LISTED = /^(?:transcript\.|record\.(?:html|txt)$|attestations\/)/;

/**
 * Collects the record of a ceremony that has its bundle.
 * @throws CountersignError `ceremony-file-missing` before `bundle` has run; whatever makes the folder invalid.
 */
export async function collectRecord(folder: string): Promise<CeremonyRecord> {
  const ceremony = await loadCeremony(folder);
  const payload = payloadOf(ceremony);
  const { bytes: bundleBytes, bundle } = await readBundleFile(ceremony);
  // Time 0: a record may be printed again when everything in it has long expired.
  const verified = await verifyBundle(bundle, 0);
  const transcripts = await readTranscripts(folder);
  const { plan } = ceremony;
  return {
    ceremony: plan.ceremony,
    kind: plan.kind,
    why: plan.why.trim(),
    date: formatExpires(plan.date),
    nextCeremony: formatExpires(plan.nextCeremony),
    payload: payload.sha256,
    phrase: payload.phrase,
    bundle: sha256Hex(bundleBytes),
    builtOn: computersThatBuilt(payload.sha256, transcripts),
    roles: rolesOf(verified),
    keys: keysOf(verified, ceremony.holders),
    bins: { count: verified.layout.count, format: verified.format },
    changes: describeChanges(proposalSource(ceremony), payload.proposal),
    published: publishedFiles(verified),
    files: await filesOf(folder),
    transcripts: transcripts.map(recordedTranscript),
    places: Math.max(LEAST_PLACES, ceremony.holders.length + WITHOUT_KEY),
  };
}

function computersThatBuilt(payload: string, transcripts: readonly TranscriptOfComputer[]): number {
  const computers = transcripts.flatMap(({ verified: { lines } }) =>
    lines.some((line) => line.step === 'built' && line.payload === payload)
      ? lines.flatMap((line) => (line.step === 'begun' ? [line.computer] : []))
      : [],
  );
  return new Set(computers).size;
}

/** The metadata files of a bundle under the names that clients ask for. */
export function publishedFiles({ roots, targets, bins }: VerifiedBundle): RecordedFile[] {
  const named =
    (role: string) =>
    ({ version, bytes }: { version: number; bytes: Buffer }) => ({
      name: versionedName(role, version).slice(METADATA_PREFIX.length),
      sha256: sha256Hex(bytes),
    });
  return [...roots.map(named('root')), named('targets')(targets), named('bins')(bins)];
}

function rolesOf({ trusted, onlineKeyids, targets, bins }: VerifiedBundle): RecordedRole[] {
  const { root, binDelegation } = trusted;
  const { roles, version, expires } = root.signed;
  const binsRole = binsTrust(trusted.targets.signed);
  return [
    { role: 'root', version, expires, threshold: roles.root.threshold, keyids: roles.root.keyids },
    {
      role: 'targets',
      version: targets.version,
      expires: trusted.targets.signed.expires,
      threshold: roles.targets.threshold,
      keyids: roles.targets.keyids,
    },
    {
      role: 'bins',
      version: bins.version,
      expires: trusted.bins.signed.expires,
      threshold: binsRole.threshold,
      keyids: binsRole.keyids,
    },
    { role: 'snapshot', threshold: roles.snapshot.threshold, keyids: roles.snapshot.keyids },
    { role: 'timestamp', threshold: roles.timestamp.threshold, keyids: roles.timestamp.keyids },
    { role: 'all bin-n', threshold: binDelegation.threshold, keyids: onlineKeyids },
  ];
}

function keysOf(
  { trusted, onlineKeyids }: VerifiedBundle,
  holders: readonly { name: string; keyid: string; made: 'file' | 'token'; serial?: string }[],
): RecordedKey[] {
  const oneTimeLabel = (keyid: string): string =>
    trusted.root.signed.roles.targets.keyids.includes(keyid) ? 'one-time, targets' : 'one-time, bins';
  const keys = new Map<string, PublicKey>([
    ...trusted.root.signed.keys,
    ...(trusted.targets.signed.delegations?.keys ?? []),
  ]);
  return [...keys]
    .map(([keyid, { scheme }]): RecordedKey => {
      const holder = holders.find((other) => other.keyid === keyid);
      if (holder === undefined) {
        return { keyid, scheme, holder: onlineKeyids.includes(keyid) ? 'online' : oneTimeLabel(keyid) };
      }
      const { name, made, serial } = holder;
      return { keyid, scheme, holder: name, made, ...(serial === undefined ? {} : { serial }) };
    })
    .sort((a, b) => (`${a.holder} ${a.keyid}` < `${b.holder} ${b.keyid}` ? -1 : 1));
}

async function filesOf(folder: string): Promise<RecordedFile[]> {
  const files: RecordedFile[] = [];
  for (const name of (await filesBelow(folder)).filter((file) => !NOT_LISTED.test(file))) {
    files.push({ name, sha256: sha256Hex(await readRequired(folder, name, MAX_BYTES.bundle)) });
  }
  return files;
}

function recordedTranscript({ id, verified }: TranscriptOfComputer): RecordedTranscript {
  // Up to the record itself, so that printing it again gives the same record.
  const end = verified.lines.findIndex(({ step }) => step === 'recorded');
  const lines = end === -1 ? verified.lines : verified.lines.slice(0, end);
  const begun = lines.find((line) => line.step === 'begun');
  const check = lines.findLast((line) => line.step === 'self-check');
  return {
    id,
    computer: begun?.computer ?? '',
    version: begun?.version ?? '',
    tool: begun?.tool ?? '',
    lines: lines.length,
    head: headAt(verified, lines.length) ?? '',
    passed: check?.passed ?? [],
    failed: check?.failed ?? [],
    accepted: lines
      .filter((line) => line.step === 'accepted')
      .map(({ check: name, reason }) => ({ check: name, reason })),
  };
}
