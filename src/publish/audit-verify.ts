// Whether the audit log accounts for every signature in the store: each file that an online key has signed stands in
// exactly one record, with the digest that it has; and what the log says was signed is there, or was collected since.
//
// A service may publish meanwhile: the store is listed before the log is read, so whatever is listed was announced.
import { sha256Hex } from '../lib/bytes.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import type { AuditLine } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import {
  METADATA_PREFIX,
  parseVersionedName,
  RETENTION_NAME,
  TIMESTAMP_NAME,
  versionedName,
} from '../tuf/layout.ts';
import { splitMetadataFile } from '../tuf/metadata-file.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import { parseTimestamp } from '../tuf/parse-timestamp.ts';
import { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { checkedChain } from './audit-chain.ts';
import { Expectations, type Account, type StoreView } from './audit-expectations.ts';
import { OnlineKeys } from './audit-keys.ts';

/** Files read at once. */
const READS_IN_FLIGHT = 16;

type ReadableStore = Pick<ObjectStore, 'get' | 'list'>;

export interface AuditProblem {
  /** `unaccounted`: signed and not recorded; `altered`: not what was recorded, and nobody's signature; `missing`. */
  readonly kind: 'unaccounted' | 'altered' | 'missing' | 'recorded-twice';
  /** The object in the store. */
  readonly name: string;
  readonly sha256?: string;
  /** Online keys whose signatures on it are valid. */
  readonly keyids: readonly string[];
  readonly message: string;
}

export interface AuditReport {
  /** Number and hash of the newest record. */
  readonly records: number;
  readonly head: string;
  /** Files that one record accounts for. */
  readonly accounted: number;
  /** Files of a publication that is announced and not settled. */
  readonly pending: number;
  /** Files from before the log began, or whose records were lost with a ledger; and the snapshots among them. */
  readonly uncovered: number;
  readonly uncoveredSnapshots: readonly number[];
  readonly problems: readonly AuditProblem[];
}

/**
 * @throws CountersignError `audit-broken` at the first record that is not what it should be; `metadata-missing` when the
 *   store holds no repository; `metadata-invalid` when its snapshot cannot be read (fsck says more).
 */
export async function verifyAudit(
  lines: AsyncIterable<AuditLine>,
  store: ReadableStore,
  progress: (done: number, total: number) => void = () => undefined,
): Promise<AuditReport> {
  const view = await viewOf(store);
  const expected = new Expectations(view);
  for await (const chained of checkedChain(lines)) expected.add(chained);
  expected.end();
  const keys = await OnlineKeys.read(store, view.names);
  const problems: AuditProblem[] = [];
  const counts = { accounted: 0, pending: 0, uncovered: 0 };

  const judge = async (
    name: string,
    bytes: Uint8Array,
    accounts: readonly Account[],
    excused: 'pending' | 'uncovered' | undefined,
  ): Promise<void> => {
    const sha256 = sha256Hex(bytes);
    const matching = accounts.filter((account) => account.sha256 === sha256);
    if (matching.length === 1 && accounts.length === 1) counts.accounted += 1;
    else if (matching.length > 0) {
      const numbers = accounts.map(({ record }) => record).join(', ');
      problems.push({
        kind: 'recorded-twice',
        name,
        sha256,
        keyids: [],
        message: `${name} stands in records ${numbers} of the audit log`,
      });
    } else if (accounts.length === 0 && excused !== undefined) counts[excused] += 1;
    else {
      const keyids = await keys.validOn(name, bytes);
      const problem = problemOf(name, sha256, accounts[0], keyids);
      if (problem !== undefined) problems.push(problem);
    }
  };

  const names = [...view.names].filter((name) => name !== TIMESTAMP_NAME).concat(expected.missing());
  let done = 0;
  await mapConcurrent(names, READS_IN_FLIGHT, async (name) => {
    progress((done += 1), names.length);
    const bytes = await read(store, name);
    const accounts = expected.accounts(name);
    if (bytes === undefined) {
      if (accounts.length > 0 && (await isNeeded(store, view))) problems.push(missing(name, accounts[0]));
      return;
    }
    const pending = expected.isPending(name) ? 'pending' : undefined;
    await judge(name, bytes, accounts, expected.isUncovered(name) ? 'uncovered' : pending);
  });
  await judgeTimestamp(store, expected, view.timestampBytes, judge, problems);
  problems.sort((a, b) => (a.name < b.name ? -1 : 1));
  const uncoveredSnapshots = [...expected.uncovered]
    .map(parseVersionedName)
    .flatMap((parsed) => (parsed?.role === 'snapshot' ? [parsed.version] : []))
    .sort((a, b) => a - b);
  return { records: expected.records, head: expected.head, ...counts, uncoveredSnapshots, problems };
}

async function judgeTimestamp(
  store: ReadableStore,
  expected: Expectations,
  bytes: Uint8Array,
  judge: (
    name: string,
    bytes: Uint8Array,
    accounts: readonly Account[],
    excused: 'pending' | undefined,
  ) => Promise<void>,
  problems: AuditProblem[],
): Promise<void> {
  const { accounts, excused } = expected.timestamp();
  await judge(TIMESTAMP_NAME, bytes, accounts, excused ? 'pending' : undefined);
  // Asked again: a service may have gone on since.
  const now = parseTimestamp(await mustRead(store, TIMESTAMP_NAME)).signed.version;
  if (now >= expected.newestTimestamp) return;
  problems.push({
    kind: 'missing',
    name: TIMESTAMP_NAME,
    keyids: [],
    message: `${TIMESTAMP_NAME} has version ${now}, version ${expected.newestTimestamp} was signed: the store was rolled back`,
  });
}

async function viewOf(store: ReadableStore): Promise<StoreView & { readonly timestampBytes: Uint8Array }> {
  const names = new Set<string>();
  const snapshots: number[] = [];
  for await (const { name } of store.list(METADATA_PREFIX)) {
    // Nobody signs it, and nobody relies on it.
    if (name !== RETENTION_NAME) names.add(name);
    const parsed = parseVersionedName(name);
    if (parsed?.role === 'snapshot') snapshots.push(parsed.version);
  }
  const timestampBytes = await mustRead(store, TIMESTAMP_NAME);
  const timestamp = parseTimestamp(timestampBytes).signed;
  snapshots.sort((a, b) => a - b);
  const named = timestamp.meta['snapshot.json'].version;
  // A thief's timestamp may name what only he has: it is judged by what is there.
  const newest =
    (await firstOf(store, [named, ...snapshots.toReversed()])) ?? (await snapshotOf(store, named));
  const older = snapshots.filter((version) => version < newest.version);
  const oldest = (await firstOf(store, older)) ?? newest;
  return { names, oldest, newest, timestamp: timestamp.version, timestampBytes };
}

/** The first of these snapshots that can be read: others were collected meanwhile, or are a stranger's, and judged with all. */
async function firstOf(
  store: ReadableStore,
  versions: readonly number[],
): Promise<SnapshotDocument | undefined> {
  for (const version of versions) {
    try {
      return await snapshotOf(store, version);
    } catch (error) {
      if (!hasCode(error, 'metadata-missing', 'metadata-invalid')) throw error;
    }
  }
  return undefined;
}

async function snapshotOf(store: ReadableStore, version: number): Promise<SnapshotDocument> {
  const bytes = await mustRead(store, versionedName('snapshot', version));
  return SnapshotDocument.parse(splitMetadataFile(bytes).signed);
}

/** Whether garbage was not being collected while the store was looked at. */
async function isNeeded(store: ReadableStore, { oldest }: Pick<StoreView, 'oldest'>): Promise<boolean> {
  return (await read(store, versionedName('snapshot', oldest.version))) !== undefined;
}

function problemOf(
  name: string,
  sha256: string,
  account: Account | undefined,
  keyids: readonly string[],
): AuditProblem | undefined {
  const role = parseVersionedName(name)?.role;
  const offline = role === 'root' || role === 'targets' || role === 'bins';
  const recorded =
    account === undefined
      ? 'no record of the audit log accounts for it'
      : `record ${account.record} of the audit log has a file with SHA-256 ${account.sha256}`;
  if (keyids.length > 0) {
    const message = `${name} (SHA-256 ${sha256}) bears a valid signature of online key ${keyids.join(' and ')}, and ${recorded}`;
    return { kind: 'unaccounted', name, sha256, keyids, message };
  }
  // Not signed by an online key: an offline role, or a stranger's object, which is the business of fsck.
  if (offline || (account === undefined && role === undefined)) return undefined;
  const message = `${name} (SHA-256 ${sha256}) bears no valid signature of an online key, and ${recorded}`;
  return { kind: 'altered', name, sha256, keyids, message };
}

function missing(name: string, account: Account | undefined): AuditProblem {
  const message = `${name} was signed (record ${account?.record ?? 0} of the audit log), is still needed, and is not in the store`;
  return { kind: 'missing', name, keyids: [], message };
}

async function read(store: ReadableStore, name: string): Promise<Uint8Array | undefined> {
  return (await store.get(name, Math.max(MAX_METADATA_BYTES.targets, MAX_METADATA_BYTES.snapshot)))?.bytes;
}

async function mustRead(store: ReadableStore, name: string): Promise<Uint8Array> {
  const bytes = await read(store, name);
  if (bytes !== undefined) return bytes;
  throw new CountersignError('metadata-missing', `${name} is not in the store`);
}
