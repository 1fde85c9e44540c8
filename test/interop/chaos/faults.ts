// What is done to the cluster, one fault at a time, and what ends it. Each resolves when the fault is over; the test then
// waits until an upload is public again.
import { systemClock } from '../../../src/lib/clock.ts';
import { eventually } from '../../support/publisher-process.ts';
import type { Fault } from '../faulty-proxy.ts';
import { isReady, type Cluster, type ClusterNode } from './cluster.ts';
import type { Load } from './load.ts';
import type { SmallDisk } from '../../support/small-disk.ts';

export interface FaultPorts {
  readonly cluster: Cluster;
  readonly load: Load;
  readonly random: () => number;
  /** Milliseconds that a paused node stands still. */
  readonly pauseMs: (who: 'publisher' | 'standby') => number;
}

export interface Takeover {
  readonly how: 'killed' | 'paused';
  /** Milliseconds until another node had the lease, and until it had published. */
  readonly leaseMs: number;
  readonly publishedMs: number;
}

/** Milliseconds in which a new publisher must be at work; longer is reported as what it was. */
const TAKEOVER_BOUND_MS = 30_000;
/** For a disk to stay full, and for a server to come back by itself once it is not. */
const FULL_MS = 4000;
const UP_MS = 5000;

export class Faults {
  readonly takeovers: Takeover[] = [];
  /** Uploads that had to be sent again while nodes were restarted by SIGTERM. */
  readonly rolling = { restarts: 0, requests: 0, retries: 0 };
  readonly #ports: FaultPorts;

  readonly kinds: Readonly<Record<string, () => Promise<void>>> = {
    'kill the publisher': () => this.#losePublisher('killed'),
    'pause the publisher': () => this.#losePublisher('paused'),
    'kill a standby': async () => {
      const node = await this.#standby();
      await node.end('SIGKILL');
      await node.start();
    },
    'pause a standby': async () => {
      const node = await this.#standby();
      node.signal('SIGSTOP');
      await systemClock.sleep(this.#ports.pauseMs('standby'));
      node.signal('SIGCONT');
    },
    'rolling restart': () => this.#rollingRestart(),
    'restart PostgreSQL': () => this.#ports.cluster.postgres.crash(),
    'restart the S3 server': () => this.#ports.cluster.s3.crash(),
    'restart OpenBao': async () => {
      const { bao } = this.#ports.cluster;
      await bao.kill();
      await bao.run();
      await bao.unseal();
    },
    'cut connections': async () => {
      for (let time = 0; time < 3; time++) {
        for (const node of this.#nodes) {
          node.ledger.cut();
          this.#planBoth(node, ['cut-before', 'cut-after', 'cut-before']);
        }
        await systemClock.sleep(500);
      }
    },
    'answer late': async () => {
      const delayMs = 50 + Math.floor(this.#ports.random() * 350);
      for (const node of this.#nodes) for (const proxy of proxiesOf(node)) proxy.delayMs = delayMs;
      await systemClock.sleep(3000);
      for (const node of this.#nodes) for (const proxy of proxiesOf(node)) proxy.delayMs = 0;
    },
    'answer 500': () => this.#plan('refuse-500', 'answer-500-after', 'refuse-503', 'answer-500-after'),
    'half-written answers': async () => {
      for (const node of this.#nodes) node.ledger.halve(1);
      await this.#plan('half-answer', 'cut-after', 'half-answer');
    },
    'refuse writes to the bucket': async () => {
      const refusals = Array.from({ length: 10_000 }, (): Fault => 'refuse-500');
      for (const node of this.#nodes) node.store.plan(refusals, ({ method }) => method === 'PUT');
      await systemClock.sleep(3000);
      for (const node of this.#nodes) node.store.plan([]);
    },
  };

  constructor(ports: FaultPorts) {
    this.#ports = ports;
    const clock = this.#nodes.find(({ setClock }) => setClock !== undefined);
    if (clock !== undefined) this.kinds = { ...this.kinds, 'jump a clock': () => this.#jump(clock) };
    const { postgres, s3 } = ports.cluster.disks;
    if (postgres === undefined || s3 === undefined) return;
    this.kinds = {
      ...this.kinds,
      'fill the disk of the S3 server': async () => {
        await fillDisk(s3);
        // It may refuse writes for good then: whoever made room starts it again.
        await ports.cluster.s3.crash();
      },
      'fill the disk of PostgreSQL': async () => {
        await fillDisk(postgres);
        // A server that could not even write its log has ended itself: whoever made room starts it again.
        await eventually('PostgreSQL is there', () => isUp(ports.cluster), UP_MS).catch(() =>
          ports.cluster.postgres.crash(),
        );
      },
    };
  }

  get #nodes(): readonly ClusterNode[] {
    return this.#ports.cluster.nodes;
  }

  async #publisher(): Promise<{ readonly node: ClusterNode; readonly epoch: number }> {
    let found: { readonly node: ClusterNode; readonly epoch: number } | undefined;
    await eventually('a node is publisher', async () => {
      const { holder, epoch } = await this.#ports.cluster.publisher();
      const node = this.#nodes.find(({ pid }) => holder.split(':').at(-2) === String(pid));
      if (node !== undefined) found = { node, epoch };
      return found !== undefined;
    });
    return found!;
  }

  async #standby(): Promise<ClusterNode> {
    const publisher = await this.#publisher();
    return this.#nodes.find((node) => node !== publisher.node)!;
  }

  async #losePublisher(how: Takeover['how']): Promise<void> {
    const { cluster } = this.#ports;
    const { node, epoch } = await this.#publisher();
    const lostAt = systemClock.now();
    if (how === 'paused') node.signal('SIGSTOP');
    else await node.end('SIGKILL');
    let takenOver: { readonly atMs: number; readonly snapshot: number } | undefined;
    await eventually(
      'another node publishes',
      async () => {
        const now = await cluster.publisher();
        if (now.epoch === epoch) return false;
        takenOver ??= { atMs: systemClock.now() - lostAt, snapshot: now.snapshot };
        return now.snapshot > takenOver.snapshot;
      },
      TAKEOVER_BOUND_MS,
    );
    const leaseMs = takenOver?.atMs ?? 0;
    this.takeovers.push({ how, leaseMs, publishedMs: systemClock.now() - lostAt });
    if (how === 'killed') await node.start();
    else {
      await systemClock.sleep(Math.max(0, this.#ports.pauseMs('publisher') - (systemClock.now() - lostAt)));
      node.signal('SIGCONT');
    }
  }

  async #rollingRestart(): Promise<void> {
    const { counts } = this.#ports.load;
    const before = { ...counts };
    for (const node of this.#nodes) {
      const code = await node.end('SIGTERM');
      if (code !== 0) throw new Error(`node ${node.number} ended with ${String(code)} after SIGTERM`);
      await node.start();
      this.rolling.restarts += 1;
    }
    if (counts.retries > before.retries)
      console.log(`sent again in a rolling restart: ${this.#ports.load.lastRetry}`);
    this.rolling.requests += counts.requests - before.requests;
    this.rolling.retries += counts.retries - before.retries;
  }

  /** Less than the minute of difference that publishers forgive each other. */
  async #jump(node: ClusterNode): Promise<void> {
    for (const seconds of [40, -40]) {
      await node.setClock?.(seconds);
      await systemClock.sleep(3000);
    }
    await node.setClock?.(0);
    // The library reads the time that it is to tell once a second.
    await systemClock.sleep(1500);
    await eventually('the node is ready', () => isReady(node.address));
  }

  #planBoth(node: ClusterNode, faults: readonly Fault[]): void {
    node.store.plan(faults);
    node.transit.plan(faults);
  }

  async #plan(...faults: Fault[]): Promise<void> {
    for (let time = 0; time < 4; time++) {
      for (const node of this.#nodes) this.#planBoth(node, faults);
      await systemClock.sleep(500);
    }
    for (const node of this.#nodes) this.#planBoth(node, []);
  }
}

async function fillDisk(disk: SmallDisk): Promise<void> {
  await disk.fill();
  await systemClock.sleep(FULL_MS);
  await disk.empty();
}

function isUp({ postgres }: Cluster): Promise<boolean> {
  return postgres.sql('postgres', 'SELECT 1').then(
    () => true,
    () => false,
  );
}

function proxiesOf({ store, transit, ledger }: ClusterNode): { delayMs: number }[] {
  return [store, transit, ledger];
}
