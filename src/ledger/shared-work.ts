// The bins of a publication that was committed, divided among nodes: the publisher offers shares of them, every node may
// take one, sign its bins and say what became of them. What is signed follows from the intent, to the byte, and names are
// write-once: two nodes with one share do the same work twice and no harm. test/contracts/shared-work.contract.ts is the
// suite that every adapter passes.
//
// As with the other ports: durable on return, never retried, idempotent, callable from any process at any time.
import type { AuditMark, BinVersion } from './ledger.ts';

/** Bins of one publication that one node signs. */
export interface Share {
  readonly snapshot: number;
  /** 0, 1, 2 … within the publication. */
  readonly number: number;
  readonly bins: readonly BinVersion[];
}

export interface ShareRequest {
  /** Names the process, as in the lease. */
  readonly holder: string;
  readonly now: number;
  /** Milliseconds until the share is given to the next one who asks. */
  readonly ttlMs: number;
  /**
   * Asks for shares of this publication only, and for all that are not done: when each of them is somebody's, for the one
   * that was taken first. So whoever publishes waits for nobody.
   */
  readonly finishing?: number;
}

export interface TakenShare extends Share {
  /** The announcement in the audit log; undefined for the holder of the lease, who has announced the whole publication. */
  readonly mark: AuditMark | undefined;
}

export interface DoneShare extends Share {
  /** SHA-256 of each bin's file, in the order of `bins`. */
  readonly digests: readonly string[];
}

export interface SharedWork {
  /** Offers the bins of the publication at the head. Does nothing when that is finished, or was divided before. */
  offerShares(snapshot: number, shares: readonly (readonly BinVersion[])[]): Promise<void>;

  /**
   * Gives a share of the unfinished publication that nobody has, and announces in the audit log who is going to sign it.
   * A claim that ends more than two `ttlMs` from `now` counts as ended, as in the lease. Undefined: there is none.
   */
  takeShare(request: ShareRequest): Promise<TakenShare | undefined>;

  /** Says that the bins of a share are in the store. The first word stays. */
  shareDone(share: DoneShare): Promise<void>;

  /** The shares of a publication that are done, ascending. */
  doneShares(snapshot: number): Promise<DoneShare[]>;
}
