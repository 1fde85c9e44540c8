// Nodes that share the bins of a publication: what they do is held up or broken in between, as a test wants it.
import { onTestFinished } from 'vitest';
import type { DoneShare, SharedWork } from '../../src/ledger/shared-work.ts';
import { createMetrics } from '../../src/lib/metrics.ts';
import { ledgerLines } from '../../src/publish/audit-chain.ts';
import { Helper } from '../../src/publish/helper.ts';
import type { BacksignDesk } from '../../src/publish/prepared-files.ts';
import type { TestRepository } from './repository.ts';
import type { RunningClock } from './running-clock.ts';

export interface SharingScene {
  readonly repository: TestRepository;
  readonly clock: RunningClock;
}

/** What a test does after shares were offered, and before one is taken or said to be done. */
export interface Interludes {
  readonly offerShares?: () => void | Promise<void>;
  readonly takeShare?: () => Promise<void>;
  readonly shareDone?: (share: DoneShare) => Promise<void>;
}

export function sharesOf({ repository: { ledger } }: SharingScene, before: Interludes = {}): SharedWork {
  return {
    offerShares: async (snapshot, shares) => {
      await ledger.offerShares(snapshot, shares);
      await before.offerShares?.();
    },
    takeShare: async (request) => {
      await before.takeShare?.();
      return ledger.takeShare(request);
    },
    shareDone: async (share) => {
      await before.shareDone?.(share);
      return ledger.shareDone(share);
    },
    doneShares: (snapshot) => ledger.doneShares(snapshot),
  };
}

export interface HelperOptions {
  readonly shares?: SharedWork;
  readonly backsign?: BacksignDesk;
}

/** A node that stands by, until the test ends. */
export function startHelper(
  scene: SharingScene,
  holder: string,
  { shares = sharesOf(scene), backsign }: HelperOptions = {},
): Helper {
  const { repository, clock } = scene;
  const helper = new Helper({
    ...repository.ports,
    ...(backsign && { backsign }),
    shares,
    holder,
    clock,
    metrics: createMetrics(),
    standsBy: () => true,
  });
  helper.start();
  onTestFinished(() => helper.stop());
  return helper;
}

/** Who has helped, by the audit log, share by share. */
export async function helpersIn({ repository }: SharingScene): Promise<string[]> {
  const helpers: string[] = [];
  for await (const { text } of ledgerLines(repository.ledger)) {
    const { kind, node } = JSON.parse(text) as { kind: string; node: string };
    if (kind === 'helping') helpers.push(node);
  }
  return helpers;
}
