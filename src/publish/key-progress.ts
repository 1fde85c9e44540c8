// How far the new online key has come: which bins bear its signature already.
import type { BinState, BinVersion } from '../ledger/ledger.ts';

export class KeyProgress {
  readonly keyid: string;
  readonly #signed: Set<number>;

  constructor(states: readonly BinState[], keyid: string) {
    this.keyid = keyid;
    this.#signed = new Set(states.filter(({ keyids }) => keyids.includes(keyid)).map(({ bin }) => bin));
  }

  /** Notes that bins were signed by these keys. */
  signed(bins: readonly BinVersion[], keyids: readonly string[]): void {
    const bears = keyids.includes(this.keyid);
    for (const { bin } of bins) {
      if (bears) this.#signed.add(bin);
      else this.#signed.delete(bin);
    }
  }

  /** Number of bins that bear its signature. */
  get count(): number {
    return this.#signed.size;
  }
}
