// How far the new online key has come: which bins bear its signature already.
import type { BinState, BinVersion } from '../ledger/ledger.ts';
import { isReached } from '../signing/late-signer.ts';
import type { Signer } from '../signing/signer.ts';

/** That of the signer that is to replace the other one; undefined while there is none, or none that was reached. */
export function keyProgress(
  nextSigner: Signer | undefined,
  bins: readonly BinState[],
): KeyProgress | undefined {
  if (nextSigner === undefined || !isReached(nextSigner)) return undefined;
  return new KeyProgress(bins, nextSigner.keyid);
}

export class KeyProgress {
  readonly keyid: string;
  readonly #signed: Set<number>;
  readonly #bins: ReadonlySet<number>;

  /** `states`: of all bins of the current layout. */
  constructor(states: readonly BinState[], keyid: string) {
    this.keyid = keyid;
    this.#bins = new Set(states.map(({ bin }) => bin));
    this.#signed = new Set(states.filter(({ keyids }) => keyids.includes(keyid)).map(({ bin }) => bin));
  }

  /** Notes that bins were signed by these keys. */
  signed(bins: readonly BinVersion[], keyids: readonly string[]): void {
    const bears = keyids.includes(this.keyid);
    for (const { bin } of bins) {
      if (!this.#bins.has(bin)) continue;
      if (bears) this.#signed.add(bin);
      else this.#signed.delete(bin);
    }
  }

  /** Number of bins that bear its signature. */
  get count(): number {
    return this.#signed.size;
  }
}
