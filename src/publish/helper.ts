// A node that stands by helps the publisher with what it offers in shares (./shared-bins.ts): it signs exactly the bytes
// that the committed publication says, from bins that it has verified itself, and nothing else.
//
// May assume: nothing about the store. Next: ./bin-desk.ts
import type { Head, History, Intent, Ledger } from '../ledger/ledger.ts';
import type { TakenShare } from '../ledger/shared-work.ts';
import { messageOf } from '../lib/errors.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { ObjectStore } from '../storage/store.ts';
import { BinLayout } from '../tuf/bins.ts';
import { binsHere, type BinDesk } from './bin-desk.ts';
import { binsToWrite } from './commit.ts';
import { told, type KeyUse } from './key-use.ts';
import type { BacksignDesk } from './prepared-files.ts';
import { binsToRebuild } from './rebin-publication.ts';
import { CLAIM_MS, isShared, type SharePorts } from './shared-bins.ts';
import type { Signers } from './signers.ts';
import { loadOfflineRoles, loadSnapshot, type PublicBins } from './verified-reads.ts';

/** Milliseconds between two looks at the ledger; an offer is told at once, but a hint may be lost. */
const POLL_MS = 1000;

/** Milliseconds after something failed; whoever publishes does the work meanwhile. */
const PAUSE_MS = 5000;

export interface HelperPorts extends SharePorts, Signers, KeyUse {
  readonly history: History;
  readonly ledger: Pick<Ledger, 'orderContent'>;
  readonly store: ObjectStore;
  /** Who reads, signs and writes bins; without it this thread does. */
  readonly bins?: BinDesk;
  /** Who adds files that were prepared; without it such bins are left to others. */
  readonly backsign?: BacksignDesk;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Whether this process stands by: one that publishes, or that has stopped for a reason, does not help. */
  readonly standsBy: () => boolean;
}

export class Helper {
  readonly #ports: HelperPorts;
  readonly #stopping = new AbortController();
  #woken = new AbortController();
  #view: { readonly snapshot: number; readonly published: PublicBins } | undefined;
  #loop: Promise<void> | undefined;

  constructor(ports: HelperPorts) {
    this.#ports = ports;
  }

  /** Returns at once. */
  start(): void {
    this.#loop ??= this.#run();
  }

  /** Something may have been offered. */
  wake(): void {
    this.#woken.abort();
  }

  /** Finishes the share in hand. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    this.wake();
    await this.#loop;
  }

  async #run(): Promise<void> {
    const { clock, log, standsBy } = this.#ports;
    while (!this.#stopping.signal.aborted) {
      this.#woken = new AbortController();
      try {
        if (standsBy() && (await this.#help())) continue;
        await clock.sleep(POLL_MS, this.#woken.signal);
      } catch (error) {
        log.warn({ err: messageOf(error) }, 'this node cannot help the publisher');
        await clock.sleep(PAUSE_MS, this.#stopping.signal);
      }
    }
  }

  /** Signs one share, if there is one; false when there is none. */
  async #help(): Promise<boolean> {
    const { shares, holder, clock, history } = this.#ports;
    const head = await history.head();
    const intent = head?.unfinished;
    if (head === undefined || intent === undefined || !isShared(intent)) return false;
    if (intent.backsign !== undefined && this.#ports.backsign === undefined) return false;
    const published = await this.#published(head, intent);
    if (published === undefined) return false;
    const share = await shares.takeShare({ holder, now: clock.now(), ttlMs: CLAIM_MS });
    if (share === undefined) return false;
    told(this.#ports, share.mark);
    if (share.snapshot !== intent.snapshot) return true;
    await shares.shareDone({ ...share, digests: await this.#sign(published, intent, share) });
    return true;
  }

  async #sign(
    published: PublicBins,
    intent: Intent,
    { number, bins }: TakenShare,
  ): Promise<readonly string[]> {
    const { clock, log, metrics } = this.#ports;
    const startedAt = clock.now();
    const digests = await this.#write(published, { ...intent, bins });
    metrics.signatures.inc({ role: 'bin' }, (intent.keyids?.length ?? 1) * bins.length);
    const durationMs = clock.now() - startedAt;
    log.info({ snapshot: intent.snapshot, share: number, bins: bins.length, durationMs }, 'helped to sign');
    return digests;
  }

  #write(published: PublicBins, intent: Intent): Promise<readonly string[]> {
    const { store, signer, nextSigner, bins: desk = binsHere, backsign } = this.#ports;
    const { roles } = published;
    const signers = { signer, ...(nextSigner && { nextSigner }) };
    if (intent.backsign !== undefined && backsign !== undefined) {
      return backsign.write(this.#ports, published, intent, intent.bins);
    }
    const session = desk.begin({ store, roles, signers });
    const { rebin } = intent;
    if (rebin !== undefined) {
      return session.rebuild(binsToRebuild(published, intent, new BinLayout(rebin.count, rebin.generation)));
    }
    return session.write(roles, binsToWrite(published, { intent, changes: [] }));
  }

  /** What is public before a publication; undefined when it was finished while this was read. */
  async #published(head: Head, intent: Intent): Promise<PublicBins | undefined> {
    if (this.#view?.snapshot === intent.snapshot) return this.#view.published;
    const { history, store } = this.#ports;
    const roles = await loadOfflineRoles(store, head);
    const snapshot = await loadSnapshot(store, roles, intent.snapshot - 1);
    const states = await history.bins(snapshot.layout);
    // Of a layout to come: asked for last, so that what was read before is not newer.
    const [first = 0, last = 0] = [intent.bins[0]?.bin, intent.bins.at(-1)?.bin];
    const own = intent.rebin === undefined ? states : await history.bins({ first, count: last - first + 1 });
    const versions = new Map(own.map(({ bin, version }) => [bin, version]));
    if (intent.bins.some(({ bin, version }) => (versions.get(bin) ?? 0) !== version - 1)) return undefined;
    const published = { roles, snapshot, digests: states.map(({ sha256 }) => sha256) };
    this.#view = { snapshot: intent.snapshot, published };
    return published;
  }
}
