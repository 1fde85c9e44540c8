// The ledger remembers every bin that was ever published: those of a former layout, and of one that is being prepared.
import type { BinState } from '../ledger/ledger.ts';
import type { BinLayout } from '../tuf/bins.ts';

/** What the ledger says of the bins of one layout, ascending. */
export function binsOf(layout: BinLayout, states: readonly BinState[]): BinState[] {
  return states.filter(({ bin }) => layout.has(bin));
}
