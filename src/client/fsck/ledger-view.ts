// Whether the ledger and the store say the same. The ledger is asked first and last: a publication that is completed in
// between is no disagreement.
import { formatExpires } from '../../tuf/lifetimes.ts';
import { TIMESTAMP_NAME, versionedName } from '../../tuf/layout.ts';
import type { Timestamp } from '../../tuf/metadata.ts';
import type { SnapshotDocument } from '../../tuf/snapshot-document.ts';
import type { Findings } from './findings.ts';

/** What fsck asks a ledger; its History answers it. */
export interface LedgerView {
  head(): Promise<LedgerHead | undefined>;
  bins(): Promise<readonly LedgerBin[]>;
}

interface LedgerHead {
  readonly snapshot: number;
  readonly timestamp: number;
  readonly roles: { readonly root: number; readonly targets: number; readonly bins: number };
  readonly unfinished?: object;
}

interface LedgerBin {
  readonly bin: number;
  readonly version: number;
  /** Milliseconds since the epoch. */
  readonly expires: number;
}

/** Compares the heads. True when the ledger is exactly at `timestamp`, nothing unfinished. */
export async function checkLedgerHead(
  findings: Findings,
  ledger: LedgerView,
  before: LedgerHead | undefined,
  timestamp: Timestamp,
  snapshot: SnapshotDocument | undefined,
): Promise<boolean> {
  const after = await ledger.head();
  const version = timestamp.meta['snapshot.json'].version;
  if (before === undefined || after === undefined) {
    findings.add('ledger-head', TIMESTAMP_NAME, `names snapshot ${version}, the ledger holds no repository`);
    return false;
  }
  // An unfinished publication is public or not: the last thing that becomes public is timestamp.json.
  const oldest = before.snapshot - (before.unfinished === undefined ? 0 : 1);
  const oldestTimestamp = before.timestamp - (before.unfinished === undefined ? 0 : 1);
  if (version < oldest || version > after.snapshot) {
    const says = `the ledger is at snapshot ${after.snapshot}`;
    findings.add('ledger-head', TIMESTAMP_NAME, `names snapshot ${version}, ${says}`);
    return false;
  }
  if (timestamp.version < oldestTimestamp || timestamp.version > after.timestamp) {
    const says = `the ledger is at timestamp ${after.timestamp}`;
    findings.add('ledger-head', TIMESTAMP_NAME, `has version ${timestamp.version}, ${says}`);
    return false;
  }
  const settled =
    before.unfinished === undefined && after.unfinished === undefined && before.snapshot === after.snapshot;
  if (settled && snapshot !== undefined) checkRoles(findings, after, snapshot);
  return settled;
}

function checkRoles(findings: Findings, { roles }: LedgerHead, snapshot: SnapshotDocument): void {
  const name = versionedName('snapshot', snapshot.version);
  for (const [role, says, is] of [
    ['targets', roles.targets, snapshot.targetsVersion],
    ['bins', roles.bins, snapshot.binsVersion],
  ] as const) {
    if (says === is) continue;
    findings.add('ledger-head', name, `names ${role} version ${is}, the ledger is at version ${says}`);
  }
}

/** What the ledger knows of every bin, when nothing was published while it was asked. */
export class LedgerBins {
  readonly #bins: ReadonlyMap<number, LedgerBin>;

  private constructor(bins: ReadonlyMap<number, LedgerBin>) {
    this.#bins = bins;
  }

  static async read(ledger: LedgerView, snapshot: number): Promise<LedgerBins | undefined> {
    const bins = new Map((await ledger.bins()).map((bin) => [bin.bin, bin]));
    const head = await ledger.head();
    return head?.snapshot === snapshot && head.unfinished === undefined ? new LedgerBins(bins) : undefined;
  }

  check(findings: Findings, name: string, index: number, version: number, expires: string | undefined): void {
    const known = this.#bins.get(index);
    if (known?.version !== version) {
      const says = known === undefined ? 'does not know it' : `knows version ${known.version}`;
      findings.add('ledger-bins', name, `is published, the ledger ${says}`);
    } else if (expires !== undefined && formatExpires(known.expires) !== expires) {
      const says = `the ledger knows ${formatExpires(known.expires)}`;
      findings.add('ledger-bins', name, `expires at ${expires}, ${says}`);
    }
  }
}
