// Requests that come at their times, whatever became of those before: a slow answer does not hold the next one back.
import { setTimeout as sleep } from 'node:timers/promises';
import { nextEvent } from '../load.ts';
import type { MeasuredService } from '../service.ts';

export interface OpenLoop {
  readonly requestsPerSecond: number;
  readonly eventsPerRequest: number;
  readonly seconds: number;
}

export interface OpenLoopResult {
  /** Events a second, from the first request until the last event was public. */
  readonly eventsPerSecond: number;
  /** Milliseconds from each request until the answer that its events are public, ascending; infinite where too many waited. */
  readonly latencyMs: readonly number[];
}

interface Receipts {
  readonly events?: readonly { readonly state: string }[];
}

/** @throws Error when an event is refused or rejected. */
export async function openLoop(
  service: MeasuredService,
  { requestsPerSecond, eventsPerRequest, seconds }: OpenLoop,
): Promise<OpenLoopResult> {
  const count = Math.round(requestsPerSecond * seconds);
  const begun = performance.now();
  const latencyMs = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      await sleep(Math.max(0, begun + (i * 1000) / requestsPerSecond - performance.now()));
      const events = Array.from({ length: eventsPerRequest }, nextEvent);
      const sentAt = performance.now();
      const body = Buffer.from(JSON.stringify({ events }));
      const { status, body: answer } = await service.send('POST', '/v1/events', body, { prefer: 'wait=50' });
      if (status === 202) return Number.POSITIVE_INFINITY;
      const { events: receipts = [] } = JSON.parse(answer.toString()) as Receipts;
      if (status !== 200 || receipts.some(({ state }) => state !== 'published')) {
        throw new Error(`the service answered ${status}: ${answer.toString().slice(0, 300)}`);
      }
      return performance.now() - sentAt;
    }),
  );
  await service.drained();
  const eventsPerSecond = (count * eventsPerRequest * 1000) / (performance.now() - begun);
  return { eventsPerSecond, latencyMs: latencyMs.sort((a, b) => a - b) };
}
