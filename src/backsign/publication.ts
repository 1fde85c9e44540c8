// An order to back-sign as publications like any other: plan, commit point, bins, snapshot, timestamp, finish. Where no
// service runs, one publication takes everything; a service takes small ones, and uploads between them.
//
// What an earlier publication has added is not remembered but seen: the published bins are the catalogue. So nothing is
// added twice, whoever was killed in between.
import type { BinVersion, Head, History, Intent, Order } from '../ledger/ledger.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError, FatalError, hasCode } from '../lib/errors.ts';
import type { BinPorts } from '../publish/bin-desk.ts';
import { digestsAfter, writeAndPublish, type Published } from '../publish/commit.ts';
import { expiresAt } from '../publish/plan.ts';
import type { BacksignDesk, BacksignedBinPorts, BacksignPorts } from '../publish/prepared-files.ts';
import { signersNamedBy } from '../publish/signers.ts';
import { snapshotEditOf } from '../publish/snapshot-edit.ts';
import { publicBin, type PublicBins } from '../publish/verified-reads.ts';
import type { BinProblem, SignJob } from './bin-work.ts';
import type { IndexedBin } from './indexed-bin.ts';
import type { Crew } from './crew.ts';
import { openOrder, parseOrder, type OrderedFiles } from './order.ts';

export interface BacksignOptions {
  readonly crew: Crew;
  /** Bins in one publication, at most. */
  readonly binsAtOnce: number;
  /** Bins that are signed, and all. */
  readonly progress?: (done: number, total: number) => void;
}

/** Publications of changes that are read from the ledger at once. */
const CHANGES_AT_ONCE = 1000;

/** Problems that the refusal of an order names. */
const NAMED = 5;

interface OpenOrder {
  readonly number: number;
  readonly files: OrderedFiles;
  /** By message: what cannot be signed is found again each time. */
  readonly problems: Map<string, BinProblem>;
  /** Paths that uploads have removed since the sources were read. */
  readonly removed: Set<string>;
  /** The publication up to which that is known. */
  seen: number;
  /** The next partition to look at. */
  next: number;
  /** The same, once the publication in hand is complete. */
  nextAfter: number;
}

export class Backsigner implements BacksignDesk {
  readonly #options: BacksignOptions;
  #open: OpenOrder | undefined;
  /** Those of the order that was read last: `digest` is the order's. */
  #files: { readonly digest: string; readonly files: OrderedFiles } | undefined;

  constructor(options: BacksignOptions) {
    this.#options = options;
  }

  async next(
    order: Order,
    ports: BacksignPorts,
    published: Published,
    head: Head,
    now: number,
  ): Promise<Intent | undefined> {
    const { ledger, history, clock, log, settings } = ports;
    let open: OpenOrder;
    try {
      open = await this.#openOrder(order, ports, published);
      await followRemovals(open, history);
    } catch (error) {
      // The last one: a list of bins that somebody has exchanged.
      if (!hasCode(error, 'backsign-state', 'metadata-too-large')) throw error;
      this.#open = undefined;
      log.error({ order: order.number, code: error.code }, `back-signing refused: ${error.message}`);
      await ledger.settleOrder(
        order.number,
        refusal([{ code: error.code, message: error.message }]),
        clock.now(),
      );
      return undefined;
    }
    const { bins, except } = await this.#slice(open, ports, published);
    if (bins.length === 0) {
      const problems = [...open.problems.values()];
      const outcome =
        problems.length > 0 ? refusal(problems) : ({ state: 'done', snapshot: head.snapshot } as const);
      await ledger.settleOrder(order.number, outcome, clock.now());
      log.info({ order: order.number, bins: open.files.bins.length }, `back-signing is ${outcome.state}`);
      this.#open = undefined;
      this.#files = undefined;
      return undefined;
    }
    const { snapshot, roles } = published;
    const { first } = snapshot.layout;
    return {
      snapshot: head.snapshot + 1,
      timestamp: head.timestamp + 1,
      at: now,
      expires: expiresAt(now, settings.lifetimes),
      roles: head.roles,
      events: [],
      rejected: [],
      bins: bins.map(({ bin }) => ({ bin: first + bin, version: snapshot.versionOf(first + bin) + 1 })),
      keyids: signersNamedBy(ports, roles.binTrust).map(({ keyid }) => keyid),
      backsign: { order: order.digest, except },
    };
  }

  async complete(ports: BacksignPorts, published: Published, intent: Intent): Promise<Published> {
    const { roles, snapshot, timestamp } = published;
    const next = snapshot.edit(snapshotEditOf(intent));
    const own = (bins: readonly BinVersion[]): Promise<string[]> =>
      this.write(ports, published, intent, bins);
    const { isStaged } = await this.#filesOf(ports, intent.backsign?.order ?? '');
    // What only this computer can read is divided among its threads.
    const { sharing, ...alone } = ports;
    const writers = isStaged && sharing !== undefined ? { ...alone, sharing } : alone;
    const plan = { intent, changes: [] };
    const { published: shown, written } = await writeAndPublish(writers, roles, plan, next, own, timestamp);
    if (this.#open !== undefined) this.#open.next = this.#open.nextAfter;
    const digests = digestsAfter(published, intent.bins, written);
    return { roles, snapshot: next, timestamp: shown, digests };
  }

  async write(
    ports: BacksignedBinPorts,
    published: PublicBins,
    intent: Intent,
    versions: readonly BinVersion[],
  ): Promise<string[]> {
    const files = await this.#filesOf(ports, intent.backsign?.order ?? '');
    const { first } = published.snapshot.layout;
    const wanted = new Set(versions.map(({ bin }) => bin - first));
    const partitions = files.partitions
      .map((bins, number) => ({ number, bins: bins.filter(({ bin }) => wanted.has(bin)) }))
      .filter(({ bins }) => bins.length > 0);
    const { crew, progress } = this.#options;
    const bins = binPorts(ports, published);
    const digests = new Map<number, string>();
    await mapConcurrent(partitions, crew.size, async ({ number, bins: members }) => {
      const job: SignJob = {
        kind: 'sign',
        place: files.place(number),
        bins: members.map((member) => ({ ...member, base: publicBin(published, first + member.bin) })),
        except: intent.backsign?.except ?? [],
        at: intent.at,
        expires: intent.expires.bin,
        ...(intent.keyids === undefined ? {} : { keyids: intent.keyids }),
      };
      const written = await crew.run<'sign'>(job, bins);
      members.forEach(({ bin }, i) => digests.set(first + bin, written[i] ?? ''));
      progress?.(digests.size, versions.length);
    });
    return versions.map(({ bin }) => digests.get(bin) ?? '');
  }

  /** The next bins that lack files, and which of their paths are left out. */
  async #slice(
    open: OpenOrder,
    given: BacksignPorts,
    published: Published,
  ): Promise<{ bins: IndexedBin[]; except: string[] }> {
    const { layout } = published.snapshot;
    const { files, problems, removed } = open;
    const { partitions } = files;
    const bins: IndexedBin[] = [];
    const { crew } = this.#options;
    const ports = binPorts(given, published);
    let next = open.next;
    while (next < partitions.length && bins.length < this.#options.binsAtOnce) {
      const width = Math.max(1, partitions[next]?.length ?? 1);
      const room = Math.ceil((this.#options.binsAtOnce - bins.length) / width);
      const numbers = partitions.map((_, number) => number).slice(next, next + Math.min(room, crew.size));
      const surveys = await Promise.all(
        numbers.map((number) =>
          crew.run<'survey'>(
            {
              kind: 'survey',
              place: files.place(number),
              bins: (partitions[number] ?? []).map((indexed) => ({
                ...indexed,
                base: publicBin(published, layout.first + indexed.bin),
              })),
              except: [...removed],
            },
            ports,
          ),
        ),
      );
      for (const survey of surveys) {
        bins.push(...survey.wanted);
        for (const problem of survey.problems) problems.set(problem.message, problem);
      }
      next += numbers.length;
    }
    open.nextAfter = next;
    const touched = new Set(bins.map(({ bin }) => layout.first + bin));
    return { bins, except: [...removed].filter((path) => touched.has(layout.indexOf(path))).sort() };
  }

  async #openOrder(order: Order, ports: BacksignPorts, { snapshot }: Published): Promise<OpenOrder> {
    if (this.#open?.number === order.number) return this.#open;
    const { since } = parseOrder((await ports.ledger.orderContent(order.digest)) ?? '');
    const files = await this.#filesOf(ports, order.digest);
    const { count } = snapshot.layout;
    if (files.binCount !== count) {
      throw new CountersignError(
        'backsign-state',
        `the files were prepared for ${files.binCount} bins, the repository has ${count}`,
      );
    }
    this.#open = {
      number: order.number,
      files,
      problems: new Map(),
      removed: new Set(),
      seen: since,
      next: 0,
      nextAfter: 0,
    };
    return this.#open;
  }

  /** `digest`: of the order. */
  async #filesOf({ ledger, store }: BacksignedBinPorts, digest: string): Promise<OrderedFiles> {
    if (this.#files?.digest === digest) return this.#files.files;
    const content = await ledger.orderContent(digest);
    if (content === undefined) {
      throw new FatalError('ledger-invalid', `the ledger does not hold the order ${digest} to back-sign`);
    }
    const files = await openOrder(parseOrder(content), store);
    this.#files = { digest, files };
    return files;
  }
}

function binPorts({ store, signer, nextSigner }: BacksignedBinPorts, { roles }: PublicBins): BinPorts {
  return { store, roles, signers: { signer, ...(nextSigner && { nextSigner }) } };
}

/** An upload that was published and removed again is newer than the list, which still names it. */
async function followRemovals(open: OpenOrder, history: History): Promise<void> {
  for (;;) {
    const publications = await history.changes(open.seen, CHANGES_AT_ONCE).catch((error: unknown) => {
      if (!hasCode(error, 'changes-expired')) throw error;
      const message = `nobody can tell which files were removed since they were read: ${error.message}; begin again in a new folder`;
      throw new CountersignError('backsign-state', message, { cause: error });
    });
    for (const { snapshot, changes } of publications) {
      for (const { op, path } of changes) {
        if (op === 'removed') open.removed.add(path);
        else open.removed.delete(path);
      }
      open.seen = snapshot;
    }
    if (publications.length < CHANGES_AT_ONCE) return;
  }
}

function refusal(problems: readonly BinProblem[]): { state: 'refused'; code: string; reason: string } {
  const named = problems.slice(0, NAMED).map(({ message }) => message);
  const more = problems.length > NAMED ? `; and ${problems.length - NAMED} more` : '';
  return { state: 'refused', code: problems[0]?.code ?? 'backsign-state', reason: named.join('; ') + more };
}
