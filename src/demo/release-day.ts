// A release as an index reports it: one event for each upload, several connections at once, and for each event the time
// from the answer 202 (it is safe) to the moment when it is in a public snapshot.
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import type { Clock } from '../lib/clock.ts';
import { mapConcurrent } from '../lib/concurrency.ts';
import { expectFact } from './failure.ts';
import { eventOfUpload, type RealUpload } from './real-uploads.ts';

/** Uploads that arrive at the same time. */
const CONNECTIONS = 4;

/** Between two looks at an event, in milliseconds. */
const LOOK_MS = 2;

/** After this an event that is not public is a failure of the demo. */
const PUBLIC_WITHIN_MS = 30_000;

export interface ReleaseDay {
  readonly events: number;
  readonly firstSnapshot: number;
  readonly lastSnapshot: number;
  /** From 202 to public, milliseconds. */
  readonly medianMs: number;
  readonly slowestMs: number;
}

interface Surroundings {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  readonly progress: (done: number, total: number) => void;
}

const Accepted = Type.Object({ events: Type.Array(Type.Object({ id: Type.String() })) });
const Receipt = Type.Object({
  state: Type.String(),
  snapshot: Type.Optional(Type.Integer()),
  reason: Type.Optional(Type.String()),
});

/**
 * Sends each upload as an event of its own and follows it until it is public.
 * @param address The service, without a slash at the end.
 * @throws CountersignError `demo-failed` when one is refused or not public in time.
 */
export async function sendRelease(
  address: string,
  uploads: readonly RealUpload[],
  { clock, signal, progress }: Surroundings,
): Promise<ReleaseDay> {
  let done = 0;
  const outcomes = await mapConcurrent(uploads, CONNECTIONS, async (upload) => {
    const response = await fetch(`${address}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ events: [eventOfUpload(upload)] }),
      signal,
    });
    const body: unknown = await response.json();
    expectFact(
      response.status === 202 && Value.Check(Accepted, body),
      `the service answered ${response.status} to the upload of ${upload.path}`,
    );
    const accepted = clock.now();
    const snapshot = await untilPublic(body.events[0]?.id ?? '');
    progress(++done, uploads.length);
    return { snapshot, ms: Math.max(0, clock.now() - accepted) };
  });

  async function untilPublic(id: string): Promise<number> {
    const deadline = clock.now() + PUBLIC_WITHIN_MS;
    for (;;) {
      const response = await fetch(`${address}/v1/events/${id}`, { signal });
      const receipt: unknown = await response.json();
      expectFact(Value.Check(Receipt, receipt), `the service does not know event ${id}`);
      if (receipt.state === 'published' && receipt.snapshot !== undefined) return receipt.snapshot;
      const { state, reason } = receipt;
      expectFact(state === 'accepted', `event ${id} is ${state}: ${reason ?? 'no reason given'}`);
      expectFact(clock.now() < deadline, `event ${id} was not public after ${PUBLIC_WITHIN_MS} ms`);
      await clock.sleep(LOOK_MS, signal);
    }
  }

  const times = outcomes.map(({ ms }) => ms).sort((a, b) => a - b);
  const snapshots = outcomes.map(({ snapshot }) => snapshot);
  return {
    events: uploads.length,
    firstSnapshot: Math.min(...snapshots),
    lastSnapshot: Math.max(...snapshots),
    medianMs: times[Math.floor(times.length / 2)] ?? 0,
    slowestMs: times.at(-1) ?? 0,
  };
}
