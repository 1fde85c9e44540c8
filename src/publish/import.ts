// What a ceremony's bundle changes about a repository in service, and whether it may: pure judgement, nothing is written.
// A bundle continues what is published or it is refused; no client may be left with a root under which something that
// it is served does not verify (docs/adr/0017-import.md).
//
// May assume: the bundle was verified by itself (../tuf/bundle.ts). Next: ./import-publication.ts
import { equalBytes } from '../lib/bytes.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import type { BinRange, BinState } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { BundledFile, VerifiedBundle } from '../tuf/bundle.ts';
import type { Envelope } from '../tuf/envelope.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import { versionedName } from '../tuf/layout.ts';
import type { Targets } from '../tuf/metadata.ts';
import { parseRoot } from '../tuf/parse-root.ts';
import { parseTargets } from '../tuf/parse-targets.ts';
import { verifyEnvelope, type RoleTrust } from '../tuf/threshold.ts';
import type { Published } from './commit.ts';
import { reachedKeyids, signersNamedBy, type Signers } from './signers.ts';
import { checkNextLayout, nextRebinStep, type RebinStep } from './rebin.ts';
import { loadSnapshot, offlineRoles, type OfflineRoles } from './verified-reads.ts';

export interface ImportContext extends Signers {
  readonly store: ObjectStore;
  readonly published: Published;
  /** The root file that is trusted now, as text. */
  readonly trustedRoot: string;
  /** Asks the ledger for these of all bins. */
  readonly bins: (range: BinRange) => Promise<readonly BinState[]>;
  /** The old online key is in a stranger's hands: nothing that it signed counts any more. */
  readonly compromised: boolean;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Publications so far that made prepared bins anew (./rebin.ts). */
  readonly resyncs: number;
}

/** One publication of an import. */
export interface ImportStep {
  /** The offline roles after it. */
  readonly versions: OfflineRoles['versions'];
  /** Bins to be signed again in the same publication, because no other key of theirs is trusted any more. */
  readonly bins: readonly number[];
  /**
   * Whether targets or bins follow in a publication of their own, once every client that still works with the root
   * before has come to its end.
   */
  readonly more: boolean;
  /** Set when the bundle has another layout of the bins: they are written first, then delegated to. */
  readonly rebin?: RebinStep;
}

/**
 * The next publication that `bundle` asks for; undefined: everything that it holds is published.
 * @throws CountersignError `bundle-conflict`, `key-mismatch`, `key-overlap-missing`; the errors of store and ledger.
 */
export async function nextImportStep(
  bundle: VerifiedBundle,
  context: ImportContext,
): Promise<ImportStep | undefined> {
  const { roles } = context.published;
  const { versions } = roles;
  const root = checkRoots(bundle, versions.root, context.trustedRoot);
  const after = rolesAfter(bundle, roles, bundledVersions(bundle));
  checkSigners(context, after);
  const newTargets = await isNewer('targets', bundle, context, after);
  const newBins = await isNewer('bins', bundle, context, after);
  if (root === versions.root && !newTargets && !newBins) return undefined;
  const layout = after.binTrust.layout;
  const rebins = !layout.isSame(roles.binTrust.layout);
  const bins = rebins ? [] : await binsWithoutKey(context, after);
  const step = { versions: after.versions, bins, more: false };
  if (rebins) checkNextLayout(layout, context, after);
  if (context.compromised) {
    checkKeyDropped(roles, after);
    return step;
  }
  await checkOverlap(context, after, bins);
  const rootFirst = root > versions.root && (newTargets || newBins);
  // Whoever began with the root before reads targets next, and whoever begins with the new one may still find the old
  // targets: where both verify, the root goes ahead.
  if (rootFirst && (await targetsVerify(after, context))) {
    return { versions: { ...versions, root }, bins: [], more: true };
  }
  if (!rebins) return step;
  const rebin = await nextRebinStep(layout, context, after);
  return rebin.switches ? { ...step, rebin } : { versions, bins: [], more: true, rebin };
}

/** The versions of a bundle's offline roles. */
export function bundledVersions({ roots, targets, bins }: VerifiedBundle): OfflineRoles['versions'] {
  return { root: roots.at(-1)?.version ?? 0, targets: targets.version, bins: bins.version };
}

/** The offline roles in `versions`: the bundle's root, and of targets and bins the bundle's or those of before. */
export function rolesAfter(
  bundle: VerifiedBundle,
  before: OfflineRoles,
  versions: OfflineRoles['versions'],
): OfflineRoles {
  const { root, targets, bins } = bundle.trusted;
  return offlineRoles(
    versions,
    root.signed,
    versions.targets === targets.signed.version ? targets.signed : before.targets,
    versions.bins === bins.signed.version ? bins.signed : before.bins,
  );
}

/**
 * The published root must be the bundle's, whoever of the holders signed which of the two: a signature that came late is
 * in the bundle that the next ceremony builds on. Answers the version of the bundle's last root.
 */
function checkRoots({ roots }: VerifiedBundle, published: number, trustedRoot: string): number {
  const last = roots.at(-1)?.version ?? 0;
  const same = roots[published - 1];
  if (same === undefined) {
    throw conflict(`the bundle ends with root version ${last}, version ${published} is published`);
  }
  if (!equalBytes(parseRoot(same.bytes).signedBytes, parseRoot(Buffer.from(trustedRoot)).signedBytes)) {
    throw conflict(`root version ${published} of the bundle is another one than the published`);
  }
  return last;
}

/** This process must be able to sign every online role afterwards. */
function checkSigners(signers: Signers, after: OfflineRoles): void {
  for (const [role, trust] of onlineTrust(after)) {
    if (signersNamedBy(signers, trust).length > 0) continue;
    throw new CountersignError(
      'key-mismatch',
      `the service has key ${reachedKeyids(signers).join(' and ')}; in the bundle ${role} is signed by ${trust.keyids.join(' or ')}`,
    );
  }
}

function onlineTrust(roles: OfflineRoles): readonly (readonly [string, RoleTrust])[] {
  return [
    ['timestamp', roles.timestampTrust],
    ['snapshot', roles.snapshotTrust],
    ['every bin', roles.binTrust],
  ];
}

/** Whether the bundle has a newer version of a role. One of the same version must be the same, and verify as well. */
async function isNewer(
  role: 'targets' | 'bins',
  bundle: VerifiedBundle,
  { store, published }: ImportContext,
  after: OfflineRoles,
): Promise<boolean> {
  const file: BundledFile = bundle[role];
  const version = published.roles.versions[role];
  if (file.version > version) return true;
  if (file.version < version) {
    throw conflict(`the bundle has ${role} version ${file.version}, version ${version} is published`);
  }
  const trust = role === 'targets' ? after.targetsTrust : after.binsTrust;
  const { signedBytes } = await readTargetsRole(store, role, version, trust);
  if (equalBytes(signedBytes, parseTargets(file.bytes).signedBytes)) return false;
  throw conflict(`${role} version ${version} of the bundle has another content than the published`);
}

async function readTargetsRole(
  store: ObjectStore,
  role: 'targets' | 'bins',
  version: number,
  trust: RoleTrust,
): Promise<Envelope<Targets>> {
  const name = versionedName(role, version);
  const object = await store.get(name, MAX_METADATA_BYTES.targets);
  if (object === undefined) throw new CountersignError('metadata-missing', `${name} is not in the store`);
  try {
    return await verifyEnvelope(role, trust, parseTargets(object.bytes));
  } catch (error) {
    if (!hasCode(error, 'signature-invalid')) throw error;
    throw conflict(
      `the bundle changes the keys of ${role} and keeps its version ${version}: the published ${name} does not verify ` +
        'with the new keys; give it a new version',
    );
  }
}

/** Bins that bear no signature of a key that may sign them afterwards. */
async function binsWithoutKey({ published, bins }: ImportContext, after: OfflineRoles): Promise<number[]> {
  const allowed = after.binTrust.keyids;
  if (published.roles.binTrust.keyids.every((keyid) => allowed.includes(keyid))) return [];
  const current = await bins(published.snapshot.layout);
  return current
    .filter(({ keyids }) => !keyids.some((keyid) => allowed.includes(keyid)))
    .map(({ bin }) => bin);
}

/** What is public must verify with the keys that follow: clients read both for a moment. */
async function checkOverlap(
  context: ImportContext,
  after: OfflineRoles,
  bins: readonly number[],
): Promise<void> {
  if (bins.length > 0) {
    const { count } = after.binTrust.layout;
    throw new CountersignError(
      'key-overlap-missing',
      `${bins.length} of ${count} bins bear no signature of ${after.binTrust.keyids.join(' or ')}, which alone may ` +
        'sign them with this bundle',
      { details: { bins: bins.length } },
    );
  }
  const online = await onlineVerifies(after, context);
  if (online === undefined) return;
  throw new CountersignError(
    'key-overlap-missing',
    `the published ${online} bears no signature of a key that the bundle's root names for it`,
  );
}

/** The name of the role that is public and does not verify under the next root, if there is one. */
async function onlineVerifies(
  after: OfflineRoles,
  { store, published }: ImportContext,
): Promise<string | undefined> {
  const { timestamp, snapshot } = published;
  try {
    if (timestamp !== undefined) await verifyEnvelope('timestamp', after.timestampTrust, timestamp.envelope);
  } catch (error) {
    if (hasCode(error, 'signature-invalid')) return 'timestamp';
    throw error;
  }
  try {
    await loadSnapshot(store, after, snapshot.version);
  } catch (error) {
    if (hasCode(error, 'signature-invalid')) return 'snapshot';
    throw error;
  }
  return undefined;
}

/** Whether the published targets verify under the next root as well. */
async function targetsVerify(after: OfflineRoles, { store, published }: ImportContext): Promise<boolean> {
  try {
    await readTargetsRole(store, 'targets', published.roles.versions.targets, after.targetsTrust);
    return true;
  } catch (error) {
    if (hasCode(error, 'bundle-conflict')) return false;
    throw error;
  }
}

/** TUF 5.3.11: clients forget what a thief may have raised only when the keys of timestamp and snapshot change. */
function checkKeyDropped(before: OfflineRoles, after: OfflineRoles): void {
  for (const [role, trust] of onlineTrust(after)) {
    const old = [...before.timestampTrust.keyids, ...before.binTrust.keyids];
    if (!old.every((keyid) => trust.keyids.includes(keyid))) continue;
    throw conflict(
      `the bundle still names every online key of before for ${role}: it does not end a compromise`,
    );
  }
}

function conflict(message: string): CountersignError {
  return new CountersignError('bundle-conflict', message);
}
