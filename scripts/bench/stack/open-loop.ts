// Requests that come at their times, whatever became of those before: a slow answer does not hold the next one back.
import { setTimeout as sleep } from 'node:timers/promises';
import { nextEvent } from '../load.ts';
import type { MeasuredService } from '../service.ts';
import { SettledWatch } from './settled-watch.ts';

export interface OpenLoop {
  readonly requestsPerSecond: number;
  readonly eventsPerRequest: number;
  readonly seconds: number;
}

export interface OpenLoopResult {
  /**
   * Events a second that became public while requests kept coming: the first third of the time fills the line, and what
   * is left in it at the end is not waited for. Where no two publications fell into that time: until all were public.
   */
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
  const watch = new SettledWatch(service);
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
  const overall = (count * eventsPerRequest * 1000) / (performance.now() - begun);
  const offeredMs = seconds * 1000;
  await watch.stop();
  const eventsPerSecond = watch.perSecond(begun + offeredMs / 3, begun + offeredMs) ?? overall;
  return { eventsPerSecond, latencyMs: latencyMs.sort((a, b) => a - b) };
}
