// The client's workflow (TUF 5.3 to 5.6) as a state machine without I/O: whoever holds the bytes hands them in, in the
// order of the specification, and each step is trusted only after all of its checks. A step that throws changes nothing.
import { CountersignError, hasCode } from '../lib/errors.ts';
import type { BinDocument } from './bin-document.ts';
import { binTrust, binsTrust, type BinsTrust } from './delegations.ts';
import type { Envelope } from './envelope.ts';
import type { Root, Targets, Timestamp } from './metadata.ts';
import { parseRoot } from './parse-root.ts';
import { parseBins, parseTargets } from './parse-targets.ts';
import { parseTimestamp } from './parse-timestamp.ts';
import type { SnapshotDocument } from './snapshot-document.ts';
import { verifyEnvelope, type Verified } from './threshold.ts';
import {
  checkSameLayout,
  checkNotExpired,
  checkSnapshotBytes,
  checkSnapshotOrder,
  checkVersion,
  isNewerTimestamp,
  topLevelTrust,
  verifyBinFile,
  verifyNextRoot,
  verifySnapshotFile,
  type ExpiryPolicy,
  type Moment,
} from './verify-roles.ts';

/** What an earlier update left behind, to notice when a repository goes back. */
export interface EarlierFiles {
  readonly timestamp?: Uint8Array;
  readonly snapshot?: Uint8Array;
}

/** How far an update has come; each step needs the one before. */
const STEPS = ['root', 'root-final', 'timestamp', 'snapshot', 'targets', 'bins'] as const;
type Step = (typeof STEPS)[number];

export class TrustedSet {
  #moment: Moment;
  #step: Step = 'root';
  #root: Verified<Envelope<Root>>;
  #timestamp: Verified<Envelope<Timestamp>> | undefined;
  /** Trusted now or in an earlier update: the measure for rollbacks. */
  #snapshot: Verified<SnapshotDocument> | undefined;
  #targets: Verified<Envelope<Targets>> | undefined;
  #bins: Verified<Envelope<Targets>> | undefined;
  #binTrust: BinsTrust | undefined;

  private constructor(root: Verified<Envelope<Root>>, moment: Moment) {
    this.#root = root;
    this.#moment = moment;
  }

  /**
   * Begins an update from a root that was trusted before (TUF 5.2: "shipped … with the client").
   * @param now milliseconds since the epoch, the fixed update start time of TUF 5.1.
   * @param expiry `ignored` only for the service's own start after a downtime: see ExpiryPolicy.
   * @throws CountersignError `metadata-invalid`, `metadata-too-large`; `signature-invalid` when the root is not signed by
   *   its own keys.
   */
  static async start(
    rootBytes: Uint8Array,
    now: number,
    expiry: ExpiryPolicy = 'enforced',
  ): Promise<TrustedSet> {
    const root = parseRoot(rootBytes);
    const verified = await verifyEnvelope('root', topLevelTrust(root.signed, 'root'), root);
    return new TrustedSet(verified, { now, expiry });
  }

  /** Begins another update from what is trusted now; roots come first again. */
  restart(now: number): void {
    this.#moment = { ...this.#moment, now };
    this.#step = 'root';
  }

  get root(): Verified<Envelope<Root>> {
    return this.#root;
  }

  get timestamp(): Verified<Envelope<Timestamp>> {
    return this.#have(this.#timestamp, 'timestamp');
  }

  get snapshot(): Verified<SnapshotDocument> {
    return this.#have(this.#snapshot, 'snapshot');
  }

  get targets(): Verified<Envelope<Targets>> {
    return this.#have(this.#targets, 'targets');
  }

  get bins(): Verified<Envelope<Targets>> {
    return this.#have(this.#bins, 'bins');
  }

  /** Who may sign the bin-n roles, how many there are, and in which form they are delegated. */
  get binDelegation(): BinsTrust {
    return this.#have(this.#binTrust, 'bins');
  }

  /**
   * The next root: TUF 5.3.4 to 5.3.8.
   * @throws CountersignError `signature-invalid`, `version-rollback`, `metadata-invalid`, `metadata-too-large`.
   */
  async updateRoot(bytes: Uint8Array): Promise<void> {
    this.#need('root', 'root');
    const next = await verifyNextRoot(this.#root.signed, parseRoot(bytes));
    // TUF 5.3.11: rotated keys forget what the old ones signed, so that nobody who once held them can have raised the
    // versions beyond reach ("fast-forward attack").
    if (rotated(this.#root.signed, next.signed)) {
      this.#timestamp = undefined;
      this.#snapshot = undefined;
    }
    this.#root = next;
  }

  /**
   * No newer root exists: TUF 5.3.10. Intermediate roots may have expired, this one must not.
   * @throws CountersignError `metadata-expired`.
   */
  finishRoot(): void {
    this.#need('root', 'root');
    checkNotExpired('root', this.#root.signed.expires, this.#moment);
    this.#step = 'root-final';
  }

  /**
   * Takes in what an earlier update left on disk, however old, as the measure for rollbacks. A file that does not
   * verify with today's root is left out: its key was rotated (TUF 5.3.11), or the disk is damaged. Returns which were
   * taken.
   */
  async recall(earlier: EarlierFiles): Promise<{ timestamp: boolean; snapshot: boolean }> {
    this.#need('root-final', 'root-final');
    const root = this.#root.signed;
    const attempt = async <T>(read: (() => Promise<T>) | undefined): Promise<T | undefined> => {
      try {
        return await read?.();
      } catch (error) {
        if (hasCode(error, 'metadata-invalid', 'metadata-too-large', 'signature-invalid')) return undefined;
        throw error;
      }
    };
    const { timestamp, snapshot } = earlier;
    this.#timestamp = await attempt(
      timestamp &&
        (() => verifyEnvelope('timestamp', topLevelTrust(root, 'timestamp'), parseTimestamp(timestamp))),
    );
    this.#snapshot = await attempt(
      snapshot && (() => verifySnapshotFile(snapshot, topLevelTrust(root, 'snapshot'))),
    );
    return { timestamp: this.#timestamp !== undefined, snapshot: this.#snapshot !== undefined };
  }

  /**
   * The current timestamp: TUF 5.4.2 to 5.4.4. False when it has the version of the trusted one, which then stays.
   * @throws CountersignError `signature-invalid`, `version-rollback`, `metadata-expired`, `metadata-invalid`,
   *   `metadata-too-large`.
   */
  async updateTimestamp(bytes: Uint8Array): Promise<boolean> {
    this.#need('root-final', 'bins');
    const trust = topLevelTrust(this.#root.signed, 'timestamp');
    const next = await verifyEnvelope('timestamp', trust, parseTimestamp(bytes)); // TUF 5.4.2
    const trusted = this.#timestamp;
    const newer = trusted === undefined || isNewerTimestamp(next.signed, trusted.signed); // TUF 5.4.3
    const current = newer ? next : trusted;
    checkNotExpired('timestamp', current.signed.expires, this.#moment); // TUF 5.4.4
    this.#timestamp = current;
    this.#step = 'timestamp';
    return newer;
  }

  /**
   * The snapshot that timestamp names: TUF 5.5.2 to 5.5.6.
   * @throws CountersignError `length-or-hash-mismatch`, `signature-invalid`, `version-rollback`, `metadata-expired`,
   *   `metadata-invalid`, `metadata-too-large`.
   */
  async updateSnapshot(bytes: Uint8Array): Promise<void> {
    this.#need('timestamp', 'bins');
    const reference = this.timestamp.signed.meta['snapshot.json'];
    checkSnapshotBytes(bytes, reference); // TUF 5.5.2
    const next = await verifySnapshotFile(bytes, topLevelTrust(this.#root.signed, 'snapshot')); // TUF 5.5.3
    checkVersion('snapshot', next.version, reference.version); // TUF 5.5.4
    if (this.#snapshot !== undefined) checkSnapshotOrder(next, this.#snapshot); // TUF 5.5.5
    checkNotExpired('snapshot', next.expires, this.#moment); // TUF 5.5.6
    this.#snapshot = next;
    this.#step = 'snapshot';
  }

  /**
   * The targets role that the snapshot names: TUF 5.6.3 to 5.6.5. (5.6.2 asks for hashes "if" snapshot lists them: it
   * does not, see interop rule 7; the version names the bytes.)
   * @throws CountersignError `signature-invalid`, `metadata-expired`, `metadata-invalid`, `metadata-too-large`.
   */
  async updateTargets(bytes: Uint8Array): Promise<void> {
    this.#need('snapshot', 'bins');
    const trust = topLevelTrust(this.#root.signed, 'targets');
    const next = await verifyEnvelope('targets', trust, parseTargets(bytes)); // TUF 5.6.3
    checkVersion('targets', next.signed.version, this.snapshot.targetsVersion); // TUF 5.6.4
    checkNotExpired('targets', next.signed.expires, this.#moment); // TUF 5.6.5
    binsTrust(next.signed);
    this.#targets = next;
    this.#step = 'targets';
  }

  /**
   * The bins role that targets delegates to: TUF 5.6.7, with the checks of 5.6.3 to 5.6.5.
   * @throws CountersignError `signature-invalid`, `metadata-expired`, `metadata-invalid`, `metadata-too-large`.
   */
  async updateBins(bytes: Uint8Array): Promise<void> {
    this.#need('targets', 'bins');
    const next = await verifyEnvelope('bins', binsTrust(this.targets.signed), parseBins(bytes));
    checkVersion('bins', next.signed.version, this.snapshot.binsVersion);
    checkNotExpired('bins', next.signed.expires, this.#moment);
    const delegation = binTrust(next.signed);
    checkSameLayout(delegation.layout, this.snapshot);
    this.#bins = next;
    this.#binTrust = delegation;
    this.#step = 'bins';
  }

  /**
   * One bin of the current snapshot. May be called for many bins at once; the set itself stays as it is.
   * @throws CountersignError `signature-invalid`, `metadata-expired`, `metadata-invalid`, `metadata-too-large`.
   */
  async verifyBin(index: number, bytes: Uint8Array): Promise<Verified<BinDocument>> {
    this.#need('bins', 'bins');
    return verifyBinFile(bytes, this.binDelegation, index, this.snapshot.versionOf(index), this.#moment);
  }

  #need(first: Step, last: Step): void {
    const at = STEPS.indexOf(this.#step);
    if (at >= STEPS.indexOf(first) && at <= STEPS.indexOf(last)) return;
    throw new CountersignError('internal', `update is at ${this.#step}, this step comes after ${first}`);
  }

  #have<T>(value: T | undefined, step: Step): T {
    if (value !== undefined && STEPS.indexOf(this.#step) >= STEPS.indexOf(step)) return value;
    throw new CountersignError('internal', `${step} is not trusted yet, update is at ${this.#step}`);
  }
}

/** Whether the keys of an online top-level role changed. */
function rotated(before: Root, after: Root): boolean {
  return (['timestamp', 'snapshot'] as const).some((role) => {
    const now = new Set(after.roles[role].keyids);
    return (
      before.roles[role].keyids.some((keyid) => !now.has(keyid)) ||
      now.size !== before.roles[role].keyids.length
    );
  });
}
