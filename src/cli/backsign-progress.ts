// How far a service is with an order to back-sign: the command that placed it sees it in the ledger.
import type { PreparedFiles } from '../backsign/prepared.ts';
import type { History } from '../ledger/ledger.ts';
import type { Clock } from '../lib/clock.ts';

/** Milliseconds between two looks at all bins. */
const LOOK_MS = 1000;

/**
 * Reports, at most once a second, how many of the bins that get files were signed since now. `stop`: somebody else
 * knows better.
 */
export async function lookAtBins(
  ledger: Pick<History, 'bins'>,
  { bins, binCount }: PreparedFiles,
  clock: Clock,
  report: (done: number, total: number) => void,
): Promise<{ now: () => Promise<void>; stop: () => void }> {
  const versions = async (): Promise<Map<number, number>> =>
    new Map((await ledger.bins()).map(({ bin, version }) => [bin, version]));
  const before = await versions();
  // Layouts that came later have higher numbers.
  const first = ([...before.keys()].at(-1) ?? 0) + 1 - binCount;
  let last = clock.now();
  let isWanted = true;
  return {
    now: async () => {
      if (!isWanted || clock.now() - last < LOOK_MS) return;
      last = clock.now();
      const after = await versions();
      const isSigned = (bin: number): boolean => (after.get(bin) ?? 0) > (before.get(bin) ?? 0);
      report(bins.filter(({ bin }) => isSigned(first + bin)).length, bins.length);
    },
    stop: () => {
      isWanted = false;
    },
  };
}
