// The first publication: takes a ceremony's bundle into an empty ledger and an empty store. It follows the commit
// protocol of every other publication; when it is interrupted, the same command with the same bundle finishes it.
import { equalBytes, sha256Hex } from '../lib/bytes.ts';
import type { Clock } from '../lib/clock.ts';
import { CountersignError } from '../lib/errors.ts';
import type { History, Intent, Lease, Ledger } from '../ledger/ledger.ts';
import type { Signer } from '../signing/signer.ts';
import type { ObjectStore } from '../storage/store.ts';
import { BinDocument } from '../tuf/bin-document.ts';
import { checkOnlineKey, parseBundle, verifyBundle, type VerifiedBundle } from '../tuf/bundle.ts';
import { METADATA_PREFIX } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { publishHead, sealHead } from './commit.ts';
import { told, type KeyUse } from './key-use.ts';
import { takeLease, type LeaseTaker } from './lease.ts';
import { expiresAt } from './plan.ts';
import { sealedBundle } from './seal.ts';
import type { Lifetimes } from './settings.ts';
import { snapshotEditOf } from './snapshot-edit.ts';
import { loadTimestamp, offlineRoles } from './verified-reads.ts';
import { writeBins } from './write-bins.ts';
import { writeOnce } from './write.ts';

export interface BootstrapPorts extends LeaseTaker, KeyUse {
  readonly ledger: Ledger;
  readonly history: History;
  readonly store: ObjectStore;
  readonly signer: Signer;
  readonly clock: Clock;
  readonly lifetimes: Lifetimes;
  /** Called with bins written, and their number. */
  readonly progress?: (done: number, total: number) => void;
}

export interface BootstrapReport {
  readonly snapshot: number;
  readonly bins: number;
  readonly rootVersion: number;
  readonly resumed: boolean;
  /** True: an earlier run with the same bundle did all of it, and nothing was published since. */
  readonly alreadyComplete: boolean;
}

/**
 * Founds a repository.
 * @throws CountersignError `bundle-invalid`, `key-mismatch`, `not-empty`; `lease-lost` while a service runs on the
 *   same ledger; the errors of the ports.
 */
export async function bootstrap(bundleBytes: Uint8Array, ports: BootstrapPorts): Promise<BootstrapReport> {
  const { ledger, signer, clock } = ports;
  const bundle = await verifyBundle(parseBundle(bundleBytes), clock.now());
  checkOnlineKey(bundle, signer.keyid);
  const digest = sha256Hex(bundleBytes);
  const lease = await takeLease(ledger, clock, ports);
  try {
    return await found(bundle, digest, lease, ports);
  } finally {
    // Done or not, that much is decided: a lease that cannot be given back ends by itself.
    await ledger.lease({ holder: ports.holder, ttlMs: 0, now: clock.now() }).catch(() => undefined);
  }
}

async function found(
  bundle: VerifiedBundle,
  digest: string,
  lease: Lease,
  ports: BootstrapPorts,
): Promise<BootstrapReport> {
  const { ledger, store, clock } = ports;
  if (await isComplete(ports, bundle)) return reportOf(bundle, { resumed: false, alreadyComplete: true });
  const interrupted = await interruptedBootstrap(ports, digest);
  const intent = interrupted ?? genesis(bundle, digest, clock.now(), ports.lifetimes);
  if (interrupted === undefined) {
    await checkEmpty(store);
    told(ports, await ledger.advance(lease.epoch, intent)); // COMMIT POINT
  } else {
    told(ports, await ledger.announce(lease.epoch, 'resumed', intent, clock.now()));
  }
  const { root, targets, bins } = bundle.trusted;
  const roles = offlineRoles(intent.roles, root.signed, targets.signed, bins.signed);
  for (const { file, trust } of sealedBundle(bundle)) await writeOnce(store, file, trust);
  const digests = await writeBins(
    ports,
    roles,
    intent,
    ({ version }) => Promise.resolve(BinDocument.empty(version, intent.expires.bin)),
    (done) => ports.progress?.(done, intent.bins.length),
  );
  const snapshot = SnapshotDocument.first(bundle.layout, snapshotEditOf(intent));
  const head = await sealHead(ports, roles, intent, snapshot);
  const timestamp = interrupted === undefined ? undefined : await loadTimestamp(store, roles);
  await publishHead(ports, roles, { intent, changes: [] }, digests, head, timestamp);
  return reportOf(bundle, { resumed: interrupted !== undefined, alreadyComplete: false });
}

function reportOf(
  { layout, trusted }: VerifiedBundle,
  run: Pick<BootstrapReport, 'resumed' | 'alreadyComplete'>,
): BootstrapReport {
  return { snapshot: 1, bins: layout.count, rootVersion: trusted.root.signed.version, ...run };
}

/** Whether the ledger stands where this bundle puts it: the process before may have died before it could say so. */
async function isComplete({ history, store }: BootstrapPorts, bundle: VerifiedBundle): Promise<boolean> {
  const head = await history.head();
  if (head?.snapshot !== 1 || head.unfinished !== undefined) return false;
  for (const { file } of sealedBundle(bundle)) {
    const object = await store.get(file.name, MAX_METADATA_BYTES.targets);
    if (object === undefined || !equalBytes(object.bytes, file.bytes)) return false;
  }
  return true;
}

function genesis(bundle: VerifiedBundle, digest: string, now: number, lifetimes: Lifetimes): Intent {
  const { root, targets, bins } = bundle.trusted;
  return {
    snapshot: 1,
    timestamp: 1,
    at: now,
    expires: expiresAt(now, lifetimes),
    roles: {
      root: root.signed.version,
      targets: targets.signed.version,
      bins: bins.signed.version,
    },
    events: [],
    rejected: [],
    bins: bundle.layout.bins.map((bin) => ({ bin, version: 1 })),
    bundle: digest,
    trustedRoot: bundle.roots.at(-1)?.bytes.toString('utf8') ?? '',
  };
}

/** The intent of an earlier run with the same bundle that did not come to its end. */
async function interruptedBootstrap(
  { history }: BootstrapPorts,
  digest: string,
): Promise<Intent | undefined> {
  const head = await history.head();
  if (head === undefined) return undefined;
  const { unfinished } = head;
  if (unfinished?.snapshot !== 1) {
    throw new CountersignError(
      'not-empty',
      `the ledger holds a repository at snapshot ${head.snapshot} already`,
    );
  }
  if (unfinished.bundle !== digest) {
    throw new CountersignError(
      'not-empty',
      `the ledger holds an interrupted bootstrap with bundle ${unfinished.bundle ?? ''}, this one is ${digest}`,
    );
  }
  return unfinished;
}

async function checkEmpty(store: ObjectStore): Promise<void> {
  for await (const { name } of store.list(METADATA_PREFIX)) {
    throw new CountersignError('not-empty', `the store holds ${name} already`);
  }
}
