// The load on the service and what is read off it: (a) events one at a time, (b) a batch, (c) intake, (d) a steady
// trickle. Each event adds a target file of its own to a bin that its path chooses, so bins are hit at random.
import { randomInt } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { modelFile } from './model-files.ts';
import type { MeasuredService } from './service.ts';

interface WireReceipt {
  readonly id: string;
  readonly state: string;
  readonly snapshot?: number;
}

interface WireReceipts {
  readonly events: readonly WireReceipt[];
}

/** Never the same twice, in one run or in two: an event that is known already would cost nothing. */
const RUN = randomInt(2 ** 20) * 2 + 1;
let counter = 0;

/** An event that adds one new file. */
export function nextEvent(): { id: string; changes: readonly unknown[] } {
  const { path, target } = modelFile(RUN, counter++);
  return { id: `bench-${RUN}-${counter}`, changes: [{ op: 'add', path, ...target }] };
}

const WAIT = { prefer: 'wait=50' };

async function publish(service: MeasuredService, count: number): Promise<readonly WireReceipt[]> {
  const events = Array.from({ length: count }, nextEvent);
  const answer = (await service.expect(200, 'POST', '/v1/events', { events }, WAIT)) as WireReceipts;
  const lost = answer.events.find(({ state }) => state !== 'published');
  if (lost !== undefined) throw new Error(`event ${lost.id} is ${lost.state}`);
  return answer.events;
}

/** (a) Publications a second when each event waits for the publication of the one before. */
export async function oneAtATime(service: MeasuredService, events: number): Promise<number> {
  const begun = performance.now();
  for (let i = 0; i < events; i++) await publish(service, 1);
  return (events * 1000) / (performance.now() - begun);
}

/** (b) Events a second when `events` come in one request and appear in one snapshot. */
export async function oneBatch(service: MeasuredService, events: number): Promise<number> {
  const begun = performance.now();
  const receipts = await publish(service, events);
  const seconds = (performance.now() - begun) / 1000;
  const snapshots = new Set(receipts.map(({ snapshot }) => snapshot));
  if (snapshots.size !== 1) throw new Error(`one batch became ${snapshots.size} snapshots`);
  return events / seconds;
}

/** (c) Events a second that are answered 202, in requests of `perRequest` on `connections` connections. */
export async function intake(
  service: MeasuredService,
  events: number,
  perRequest: number,
  connections: number,
): Promise<number> {
  // Made before the clock starts: the load generator shares the machine with the service.
  const bodies = Array.from({ length: events / perRequest }, () =>
    Buffer.from(JSON.stringify({ events: Array.from({ length: perRequest }, nextEvent) })),
  );
  const begun = performance.now();
  const lane = async (): Promise<void> => {
    for (let body = bodies.pop(); body !== undefined; body = bodies.pop()) {
      const { status } = await service.send('POST', '/v1/events', body);
      if (status !== 202) throw new Error(`POST /v1/events: ${status} instead of 202`);
    }
  };
  await Promise.all(Array.from({ length: connections }, lane));
  return (events * 1000) / (performance.now() - begun);
}

/** (d) Milliseconds from each event's 202 until it was public, for `count` events sent at `perSecond`; ascending. */
export async function latencies(
  service: MeasuredService,
  count: number,
  perSecond: number,
): Promise<number[]> {
  const watch = new TimestampWatch(join(service.folder, 'repository', 'metadata', 'timestamp.json'));
  const accepted = new Map<string, number>();
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      // An open loop: a slow answer does not hold the next event back.
      await sleep(Math.max(0, begun + (i * 1000) / perSecond - performance.now()));
      const event = nextEvent();
      await service.expect(202, 'POST', '/v1/events', { events: [event] });
      accepted.set(event.id, performance.now());
    }),
  );
  await service.drained();
  await sleep(50);
  const seen = await watch.stop();
  const result: number[] = [];
  for (const [id, at] of accepted) {
    const { state, snapshot = 0 } = (await service.expect(200, 'GET', `/v1/events/${id}`)) as WireReceipt;
    const publicAt = seen.find(({ version }) => version >= snapshot)?.at;
    if (state !== 'published' || publicAt === undefined) throw new Error(`event ${id} is ${state}`);
    result.push(Math.max(0, publicAt - at));
  }
  return result.sort((a, b) => a - b);
}

/** Notes when each snapshot became public: when timestamp.json in the store named it, looked at every millisecond. */
class TimestampWatch {
  readonly #seen: { readonly version: number; readonly at: number }[] = [];
  readonly #loop: Promise<void>;
  #stopped = false;

  constructor(file: string) {
    this.#loop = this.#run(file);
  }

  async stop(): Promise<readonly { readonly version: number; readonly at: number }[]> {
    this.#stopped = true;
    await this.#loop;
    return this.#seen;
  }

  async #run(file: string): Promise<void> {
    let before = '';
    while (!this.#stopped) {
      const text = await readFile(file, 'latin1');
      const at = performance.now();
      if (text !== before) {
        before = text;
        const version = Number(/"snapshot\.json":\{[^}]*\}[^}]*"version":(\d+)/.exec(text)?.[1]);
        this.#seen.push({ version, at });
      }
      await sleep(1);
    }
  }
}

/** The value below which `share` of the ascending `values` lie. */
export function percentile(values: readonly number[], share: number): number {
  return values[Math.min(values.length - 1, Math.ceil(values.length * share) - 1)] ?? Number.NaN;
}

export function median(values: readonly number[]): number {
  return percentile(
    [...values].sort((a, b) => a - b),
    0.5,
  );
}
