// An import as a publication like any other: plan, commit point, write-once files, timestamp, finish. What clients must
// not see too early comes last: targets, bins and the snapshot are unreachable until the timestamp names them, and the
// root stands directly before it.
//
// May assume: ./import.ts has allowed the step. Next: ./write.ts
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError, FatalError } from '../lib/errors.ts';
import type { Head, Ledger } from '../ledger/ledger.ts';
import { parseBundle, verifyBundle, type VerifiedBundle } from '../tuf/bundle.ts';
import { parseTimestamp } from '../tuf/parse-timestamp.ts';
import { parseVersionedName } from '../tuf/layout.ts';
import type { Batch } from './batch.ts';
import type { BinSession } from './bin-desk.ts';
import {
  binsToWrite,
  digestsAfter,
  sealHead,
  writeSnapshot,
  type CommitPorts,
  type Published,
} from './commit.ts';
import { rolesAfter, type ImportStep } from './import.ts';
import { publicFile, storedFile, told } from './key-use.ts';
import { overwritingStore } from './overwriting-store.ts';
import { plan, type Plan } from './plan.ts';
import { binsToRebuild, rebinPart } from './rebin-publication.ts';
import { sealedBundle, type SealedFile, type SealedOfflineFile } from './seal.ts';
import type { Lifetimes } from './settings.ts';
import { signersNamedBy, type Signers } from './signers.ts';
import type { RoleTrust } from '../tuf/threshold.ts';
import { writePages } from './simple-pages.ts';
import { snapshotEditOf } from './snapshot-edit.ts';
import type { OfflineRoles, PublicTimestamp } from './verified-reads.ts';
import { replaceTimestamp, writeOnce } from './write.ts';

/** A bundle as it waits in the ledger, verified. */
export interface ImportedBundle {
  /** SHA-256 of its bytes. */
  readonly digest: string;
  readonly bundle: VerifiedBundle;
}

/**
 * Reads the bundle of an order, verified at time `now` (milliseconds since the epoch).
 * @throws CountersignError `bundle-invalid`; FatalError `ledger-invalid` when the ledger does not hold it.
 */
export async function orderedBundle(ledger: Ledger, digest: string, now: number): Promise<ImportedBundle> {
  const content = await ledger.orderContent(digest);
  if (content === undefined || sha256Hex(content) !== digest) {
    throw new FatalError('ledger-invalid', `the ledger does not hold the bundle ${digest} of an open import`);
  }
  return { digest, bundle: await verifyBundle(parseBundle(Buffer.from(content)), now) };
}

/** What a step is planned from: events that it settles besides, and the bins as they are. */
export interface ImportInput {
  readonly head: Head;
  readonly published: Published;
  readonly signers: Signers;
  /** Time T, milliseconds since the epoch. */
  readonly now: number;
  readonly lifetimes: Lifetimes;
  readonly batch: Pick<Batch, 'events' | 'lookup' | 'sizeOf' | 'pages'>;
}

/** The plan of one step of an import. */
export function planImport({ digest, bundle }: ImportedBundle, step: ImportStep, input: ImportInput): Plan {
  const { head, published, signers, batch } = input;
  const { binTrust } = rolesAfter(bundle, published.roles, step.versions);
  const { intent, changes, pages } = plan({
    ...input,
    snapshot: published.snapshot,
    events: batch.events,
    lookup: (path) => batch.lookup(path),
    sizeOf: (bin) => batch.sizeOf(bin),
    renewals: step.bins,
    ...(batch.pages === undefined ? {} : { pages: batch.pages }),
    keyids: signersNamedBy(signers, binTrust).map(({ keyid }) => keyid),
  });
  const rebin = step.rebin && rebinPart(step.rebin);
  // Bins that nobody reads yet: everything that clients trust stays as it is.
  if (step.rebin?.switches === false) return { intent: { ...intent, ...rebin }, changes };
  const imported = {
    roles: step.versions,
    bundle: digest,
    trustedRoot:
      step.versions.root === head.roles.root
        ? head.trustedRoot
        : (bundle.roots.at(-1)?.bytes.toString('utf8') ?? ''),
    replaces: { roles: head.roles, trustedRoot: head.trustedRoot },
  };
  const planned = { intent: { ...intent, ...imported, ...rebin }, changes };
  return pages === undefined ? planned : { ...planned, pages };
}

/**
 * Carries out a step that was committed. Idempotent. `overwrite`: the public timestamp may be a thief's and is replaced
 * whatever it says.
 * @throws the errors of `complete` in ./commit.ts.
 */
export async function completeImport(
  ports: CommitPorts,
  published: Published,
  { intent, changes, pages }: Plan,
  bundle: VerifiedBundle,
  bins: BinSession,
  overwrite: boolean,
): Promise<Published> {
  const { ledger, store, clock } = ports;
  const roles = rolesAfter(bundle, published.roles, intent.roles);
  const files = newFiles(bundle, published.roles.versions, intent.roles);
  for (const { file, trust } of files.delegating) await writeOnce(store, file, trust);
  await writePages(store, pages);
  const { layout } = roles.binTrust;
  // Keys that both the roles before and after it name sign bins of another layout (./rebin.ts).
  const digests =
    intent.rebin === undefined
      ? await bins.write(roles, binsToWrite(published, { intent, changes }))
      : await bins.rebuild(binsToRebuild(published, intent, layout));
  const snapshot = published.snapshot.edit({
    ...snapshotEditOf(intent),
    ...(intent.rebin === undefined ? {} : { prepares: layout }),
    // No client trusts a snapshot of before any more: the names of former layouts may go.
    forgetsFormer: overwrite && sharesNoKey(published.roles.snapshotTrust, roles.snapshotTrust),
  });
  const head = await sealHead(ports, roles, intent, snapshot);
  const { snapshotBytes, timestamp: sealed } = await writeSnapshot(ports, roles, intent, head);
  for (const { file, trust } of files.roots) await writeOnce(store, file, trust);
  const timestamp = overwrite
    ? await overwriteTimestamp(ports, sealed)
    : await replaceTimestamp(store, roles, sealed, published.timestamp);
  const signed = { snapshot: storedFile(snapshotBytes), timestamp: publicFile(timestamp), bins: digests };
  told(ports, await ledger.finish(intent, changes, signed, clock.now()));
  const after = digestsAfter({ digests: published.digests, snapshot }, intent.bins, digests);
  return { roles, snapshot, timestamp, digests: after };
}

function sharesNoKey(before: RoleTrust, after: RoleTrust): boolean {
  return !before.keyids.some((keyid) => after.keyids.includes(keyid));
}

/** What a step adds to the store: roots one after the other, and targets and bins if they are newer. */
function newFiles(
  bundle: VerifiedBundle,
  before: OfflineRoles['versions'],
  after: OfflineRoles['versions'],
): { readonly roots: SealedOfflineFile[]; readonly delegating: SealedOfflineFile[] } {
  const roots: SealedOfflineFile[] = [];
  const delegating: SealedOfflineFile[] = [];
  for (const sealed of sealedBundle(bundle)) {
    const { role = '', version = 0 } = parseVersionedName(sealed.file.name) ?? {};
    if (role === 'root' && version > before.root) roots.push(sealed);
    if ((role === 'targets' || role === 'bins') && version > before[role] && version === after[role]) {
      delegating.push(sealed);
    }
  }
  return { roots, delegating };
}

async function overwriteTimestamp({ store }: CommitPorts, file: SealedFile): Promise<PublicTimestamp> {
  const envelope = parseTimestamp(file.bytes);
  try {
    return { token: await overwritingStore(store).replace(file.name, file.bytes, undefined), envelope };
  } catch (error) {
    if (!(error instanceof CountersignError) || error.code !== 'store-conflict') throw error;
    throw new CountersignError('head-moved', `${file.name} was written by somebody else in this moment`, {
      cause: error,
    });
  }
}
