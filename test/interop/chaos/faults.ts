// What is done to the cluster, one fault at a time, and what ends it. Each resolves when the fault is over; the test then
// waits until an upload is public again.
import { systemClock } from '../../../src/lib/clock.ts';
import { eventually } from '../../support/publisher-process.ts';
import type { Fault } from '../faulty-proxy.ts';
import { isReady, type Cluster, type ClusterNode } from './cluster.ts';
import type { Load } from './load.ts';

export interface FaultPorts {
  readonly cluster: Cluster;
  readonly load: Load;
  readonly random: () => number;
  /** Milliseconds that a paused node stands still. */
  readonly pauseMs: () => number;
}

export interface Takeover {
  readonly how: 'killed' | 'paused';
  /** Milliseconds until another node had the lease, and until it had published. */
  readonly leaseMs: number;
  readonly publishedMs: number;
}

/** Milliseconds in which a new publisher must be at work; longer is reported as what it was. */
const TAKEOVER_BOUND_MS = 30_000;

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
      await systemClock.sleep(this.#ports.pauseMs());
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
    // What a server with a full disk answers.
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
  }

  get #nodes(): readonly ClusterNode[] {
    return this.#ports.cluster.nodes;
  }

  async #publisher(): Promise<ClusterNode> {
    let found: ClusterNode | undefined;
    await eventually('a node is publisher', async () => {
      const { holder } = await this.#ports.cluster.publisher();
      found = this.#nodes.find(({ pid }) => holder.split(':').at(-2) === String(pid));
      return found !== undefined;
    });
    return found!;
  }

  async #standby(): Promise<ClusterNode> {
    const publisher = await this.#publisher();
    return this.#nodes.find((node) => node !== publisher)!;
  }

  async #losePublisher(how: Takeover['how']): Promise<void> {
    const { cluster } = this.#ports;
    const node = await this.#publisher();
    if (how === 'paused') node.signal('SIGSTOP');
    else await node.end('SIGKILL');
    const lostAt = systemClock.now();
    const before = await cluster.publisher();
    let leaseMs = 0;
    await eventually(
      'another node publishes',
      async () => {
        const now = await cluster.publisher();
        if (leaseMs === 0 && now.epoch > before.epoch) leaseMs = systemClock.now() - lostAt;
        return leaseMs > 0 && now.snapshot > before.snapshot;
      },
      TAKEOVER_BOUND_MS,
    );
    this.takeovers.push({ how, leaseMs, publishedMs: systemClock.now() - lostAt });
    if (how === 'killed') await node.start();
    else {
      await systemClock.sleep(Math.max(0, this.#ports.pauseMs() - (systemClock.now() - lostAt)));
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

function proxiesOf({ store, transit, ledger }: ClusterNode): { delayMs: number }[] {
  return [store, transit, ledger];
}
