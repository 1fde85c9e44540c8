// A publisher as one process has it, over ports that processes share. Stopped at the latest when the test ends.
import { Writable } from 'node:stream';
import { pino } from 'pino';
import { onTestFinished } from 'vitest';
import type { EventState } from '../../src/ledger/ledger.ts';
import type { Clock } from '../../src/lib/clock.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { createMetrics, type Metrics } from '../../src/lib/metrics.ts';
import { Publisher } from '../../src/publish/publisher.ts';
import type { PublisherStatus } from '../../src/publish/status.ts';
import { PublicationWaiter } from '../../src/publish/waiter.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import type { TestRepository } from './repository.ts';

export interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly code?: string;
  readonly bin?: string;
}

export interface PublisherProcess {
  readonly publisher: Publisher;
  readonly waiter: PublicationWaiter;
  readonly log: readonly LogLine[];
  readonly metrics: Metrics;
}

type Ports = TestRepository<ObjectStore>['ports'];

export interface ProcessOptions {
  readonly holder: string;
  readonly clock: Clock;
  readonly isGone?: (holder: string) => boolean;
  /** Ports of its own, in the place of the shared ones. */
  readonly ports?: Partial<
    Pick<Ports, 'ledger' | 'history' | 'store' | 'signer' | 'nextSigner' | 'settings' | 'bins'>
  >;
}

export function startPublisher(shared: Ports, options: ProcessOptions): PublisherProcess {
  const lines: LogLine[] = [];
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(JSON.parse(chunk.toString()) as LogLine);
      done();
    },
  });
  const { clock, holder, isGone = () => false } = options;
  const ports = { ...shared, ...options.ports };
  const waiter = new PublicationWaiter(ports.history, clock);
  const metrics = createMetrics();
  const publisher = new Publisher({
    ...ports,
    clock,
    holder,
    isGone,
    log: pino({ base: null }, sink),
    metrics,
    waiter,
  });
  publisher.start();
  onTestFinished(() => publisher.stop());
  return { publisher, waiter, log: lines, metrics };
}

/** Resolves once `condition` holds, looked at every few milliseconds; fails the test after `timeoutMs` of real time. */
export async function eventually(
  what: string,
  condition: () => boolean | Promise<boolean>,
  timeoutMs = 20_000,
): Promise<void> {
  const end = systemClock.now() + timeoutMs;
  while (!(await condition())) {
    if (systemClock.now() > end) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await systemClock.sleep(2);
  }
}

/** Resolves once the publisher's status has this role, and problem code if one is given. */
export async function untilRole(
  { publisher }: PublisherProcess,
  role: PublisherStatus['role'],
  code?: string,
): Promise<void> {
  const fits = (): boolean => {
    const status = publisher.status();
    return status.role === role && (code === undefined || status.problem?.code === code);
  };
  await eventually(`${role} ${code ?? ''}`, fits).catch((cause: unknown) => {
    throw new Error(`the publisher is ${JSON.stringify(publisher.status())}`, { cause });
  });
}

/** Waits until every event is published or rejected. */
export async function untilSettled(
  { ledger }: Pick<TestRepository<ObjectStore>, 'ledger'>,
  ids: readonly string[],
): Promise<Map<string, EventState>> {
  const states = new Map<string, EventState>();
  await eventually('all events are settled', async () => {
    for (const [id, { state }] of await ledger.events(ids)) states.set(id, state);
    return ids.every((id) => !['accepted', undefined].includes(states.get(id)?.state));
  });
  return states;
}
