// Uploads and clients that never stop. An upload is sent again, under the same id, until some node has answered it; a
// client asks any node, and takes the next one when the answer does not come.
import { METADATA_PREFIX } from '../../../src/tuf/layout.ts';
import { Updater, type Fetcher } from '../../../src/client.ts';
import { sha256Hex } from '../../../src/lib/bytes.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { CountersignError, hasCode, messageOf } from '../../../src/lib/errors.ts';
import { MemoryMetadata } from '../../support/hostile-repository.ts';
import { isReady, type Cluster, type ClusterNode } from './cluster.ts';
import type { Invariants } from './invariants.ts';

const UPLOADERS = 3;
const CLIENTS = 2;
/** Milliseconds. */
const REQUEST_MS = 6000;
const BETWEEN_UPLOADS_MS = 250;
const LOOK_MS = 50;

export class Load {
  /** Requests: each upload is one, however often it had to be sent. */
  readonly counts = {
    events: 0,
    requests: 0,
    retries: 0,
    repeated: 0,
    refused: 0,
    refreshes: 0,
    unanswered: 0,
  };
  /** Why an upload was last sent again. */
  lastRetry = '';
  readonly #cluster: Cluster;
  readonly #invariants: Invariants;
  readonly #random: () => number;
  readonly #over = new AbortController();
  readonly #ready = new Set<ClusterNode>();
  #running: Promise<unknown> = Promise.resolve();

  constructor(cluster: Cluster, invariants: Invariants, random: () => number) {
    this.#cluster = cluster;
    this.#invariants = invariants;
    this.#random = random;
    for (const node of cluster.nodes) this.#ready.add(node);
  }

  start(): void {
    const each = (count: number, work: (number: number) => Promise<void>): Promise<void>[] =>
      Array.from({ length: count }, async (_, number) => {
        await work(number).catch((error: unknown) => {
          this.#invariants.break(`the load ended: ${messageOf(error)}`);
        });
      });
    this.#running = Promise.all([
      ...each(UPLOADERS, (number) => this.#upload(number)),
      ...each(CLIENTS, () => this.#refresh()),
      ...this.#cluster.nodes.map((node) => this.#look(node)),
    ]);
  }

  /** Resolves when every upload in hand is answered. */
  async stop(): Promise<void> {
    this.#over.abort();
    await this.#running;
  }

  /** Sends one more event until it is answered; resolves with what tells whether it is public. */
  async probe(id: string): Promise<() => Promise<boolean>> {
    this.#answered([id], await this.#untilAnswered([this.#event(id, id)]));
    return async () => !(await this.#invariants.unpublished(this.#cluster)).includes(id);
  }

  async #look(node: ClusterNode): Promise<void> {
    while (!this.#over.signal.aborted) {
      if (await isReady(node.address)) this.#ready.add(node);
      else this.#ready.delete(node);
      await systemClock.sleep(LOOK_MS, this.#over.signal);
    }
  }

  /** A node that is ready as far as anybody knows, else any. */
  #pick(): ClusterNode {
    const { nodes } = this.#cluster;
    const candidates = this.#ready.size > 0 ? [...this.#ready] : nodes;
    return candidates[Math.floor(this.#random() * candidates.length)] ?? nodes[0]!;
  }

  #event(id: string, content: string) {
    const change = {
      op: 'add',
      path: `packages/${id}.whl`,
      length: 1,
      hashes: { sha256: sha256Hex(content) },
    };
    return { id, changes: [change] };
  }

  async #upload(uploader: number): Promise<void> {
    const { counts } = this;
    for (let round = 0; !this.#over.signal.aborted; round++) {
      const count = 1 + Math.floor(this.#random() * 4);
      const ids = Array.from({ length: count }, (_, index) => `upload-${uploader}-${round}-${index}`);
      const events = ids.map((id) => this.#event(id, id));
      counts.requests += 1;
      counts.events += count;
      const body = await this.#untilAnswered(events, round % 5 === 0 ? 'wait=3' : undefined);
      this.#answered(ids, body);
      const [id = ''] = ids;
      if (round % 7 === 0) {
        counts.repeated += 1;
        await this.#untilAnswered(events);
      } else if (round % 11 === 0) {
        // The same id cannot come to mean something else, on whichever node.
        const { status } = await this.#send(this.#pick(), this.#event(id, 'something else'));
        if (status === 409) counts.refused += 1;
        else if (status < 500) this.#invariants.break(`${id} with another content was answered ${status}`);
      }
      await systemClock.sleep(BETWEEN_UPLOADS_MS, this.#over.signal);
    }
  }

  async #untilAnswered(events: readonly object[], prefer?: string): Promise<string> {
    for (let attempt = 0; ; attempt++) {
      const { status, body } = await this.#send(this.#pick(), ...events, prefer);
      if (status === 200 || status === 202) return body;
      if (status < 500) this.#invariants.break(`an upload was answered ${status}: ${body}`);
      if (attempt === 0) {
        this.counts.retries += 1;
        this.lastRetry = `${status} ${body.slice(0, 200)}`;
      }
      await systemClock.sleep(LOOK_MS);
    }
  }

  /** Status 599: no answer. */
  async #send(
    node: ClusterNode,
    ...given: (object | string | undefined)[]
  ): Promise<{ status: number; body: string }> {
    const prefer = given.find((each) => typeof each === 'string');
    const events = given.filter((each) => typeof each === 'object');
    try {
      const response = await fetch(`${node.address}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(prefer === undefined ? {} : { prefer }) },
        body: JSON.stringify({ events }),
        signal: AbortSignal.timeout(REQUEST_MS),
      });
      return { status: response.status, body: await response.text() };
    } catch (error) {
      return { status: 599, body: messageOf(error) };
    }
  }

  #answered(ids: readonly string[], body: string): void {
    for (const id of ids) {
      this.#invariants.answered.set(id, { path: `packages/${id}.whl`, sha256: sha256Hex(id) });
    }
    const { events } = JSON.parse(body) as { events: { state: string; snapshot?: number }[] };
    for (const { state, snapshot } of events) {
      if (state === 'rejected') this.#invariants.break(`an upload was rejected: ${body}`);
      if (snapshot !== undefined) this.#invariants.isPublic(snapshot);
    }
  }

  /** One client's life: refreshed without pause, and what it finds is what was sent. */
  async #refresh(): Promise<void> {
    const store = new MemoryMetadata();
    await Updater.init(store, this.#cluster.rootBytes);
    const ports = { store, fetcher: this.#fetcher(), clock: systemClock, metadataUrl: 'any:metadata' };
    const updater = new Updater(ports);
    const known: string[] = [];
    while (!this.#over.signal.aborted) {
      const floor = this.#invariants.publicSnapshot;
      try {
        const { snapshot } = await updater.refresh();
        if (snapshot < floor) this.#invariants.break(`a client saw snapshot ${snapshot} after ${floor}`);
        this.#invariants.isPublic(snapshot);
        this.counts.refreshes += 1;
        await this.#find(updater, known);
      } catch (error) {
        if (hasCode(error, 'store-unavailable')) this.counts.unanswered += 1;
        else this.#invariants.break(`a client refused what it saw: ${messageOf(error)}`);
      }
      await systemClock.sleep(1);
    }
  }

  /** What a client once found it finds again, and never with another content. */
  async #find(updater: Updater, known: string[]): Promise<void> {
    const ids = [...this.#invariants.answered.keys()];
    const old = known[Math.floor(this.#random() * known.length)];
    const id = this.#random() < 0.5 && old !== undefined ? old : ids[Math.floor(this.#random() * ids.length)];
    const sent = id === undefined ? undefined : this.#invariants.answered.get(id);
    if (id === undefined || sent === undefined) return;
    const target = await updater.find(sent.path);
    if (target === undefined) {
      if (id === old) this.#invariants.break(`${sent.path} was public and is not any more`);
    } else {
      known.push(id);
      if (target.hashes.get('sha256') !== sent.sha256)
        this.#invariants.break(`${sent.path} has another content`);
    }
  }

  #fetcher(): Fetcher {
    return {
      get: async (url) => {
        const name = METADATA_PREFIX + url.slice(url.lastIndexOf('/') + 1);
        const reasons: string[] = [];
        for (let attempt = 0; attempt < 4; attempt++) {
          const { address } = this.#pick();
          try {
            const signal = AbortSignal.timeout(REQUEST_MS);
            const response = await fetch(`${address}/${name}`, { signal });
            const bytes = new Uint8Array(await response.arrayBuffer());
            if (response.status === 404) return undefined;
            if (response.status !== 200) throw new Error(`status ${response.status}`);
            this.#invariants.saw(name, bytes, address);
            return (async function* () {
              yield await Promise.resolve(bytes);
            })();
          } catch (error) {
            reasons.push(messageOf(error));
          }
        }
        throw new CountersignError('store-unavailable', `${name}: ${reasons.join('; ')}`);
      },
    };
  }
}
