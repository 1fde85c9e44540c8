// Files that were published before signing began, prepared elsewhere (src/backsign) and added to bins in publications of
// their own: what the publisher asks of whoever prepared them. The order that names them waits in the ledger.
import type { BinVersion, Head, History, Intent, Ledger, Order } from '../ledger/ledger.ts';
import type { Logger } from '../lib/log.ts';
import type { ObjectStore } from '../storage/store.ts';
import type { CommitPorts, Published } from './commit.ts';
import type { PublishSettings } from './settings.ts';
import type { Signers } from './signers.ts';
import type { PublicBins } from './verified-reads.ts';

export interface BacksignPorts extends CommitPorts {
  readonly ledger: Ledger;
  readonly history: History;
  readonly settings: PublishSettings;
  readonly log: Logger;
}

/** What it takes to write bins of a publication that was committed, also on a node that only helps. */
export interface BacksignedBinPorts extends Signers {
  readonly ledger: Pick<Ledger, 'orderContent'>;
  readonly store: ObjectStore;
}

export interface BacksignDesk {
  /**
   * The next publication of an order; undefined when there is none: it is settled, done or refused. Writes nothing to
   * the store. `now`: time T, milliseconds since the epoch.
   * @throws errors of ledger and store; never a refusal.
   */
  next(
    order: Order,
    ports: BacksignPorts,
    published: Published,
    head: Head,
    now: number,
  ): Promise<Intent | undefined>;

  /**
   * Carries out what was committed. Idempotent: the same intent on the same state gives the same bytes.
   * @throws CountersignError `backsign-state` when the prepared files cannot be read here; the errors of `complete` in
   *   ./commit.ts.
   */
  complete(ports: BacksignPorts, published: Published, intent: Intent): Promise<Published>;

  /**
   * Signs and writes some of the bins of a committed publication; answers the SHA-256 of each file. Idempotent.
   * @throws as `complete`.
   */
  write(
    ports: BacksignedBinPorts,
    published: PublicBins,
    intent: Intent,
    bins: readonly BinVersion[],
  ): Promise<string[]>;
}
