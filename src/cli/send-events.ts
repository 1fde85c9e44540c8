// Sends events to a running service and waits until each is in a public snapshot, or refused.
import { formatDuration } from '../lib/duration.ts';
import { CountersignError } from '../lib/errors.ts';
import type { OutgoingEvent } from './outgoing-events.ts';
import type { ServiceClient } from './service-client.ts';
import type { Session } from './session.ts';

/** How long one request asks the service to wait for the snapshot, in seconds. */
const WAIT_SECONDS = 30;

/** Between two questions after events that the service has not settled within its wait. */
const POLL_MS = 500;

/** What became of an event. */
export type Outcome =
  | { readonly id: string; readonly state: 'published'; readonly snapshot: number }
  | { readonly id: string; readonly state: 'rejected'; readonly reason: string };

/** Sends one request and waits until each of its events is settled; outcomes in the order of the batch. */
export async function sendBatch(
  { context }: Session,
  client: ServiceClient,
  batch: readonly OutgoingEvent[],
  timeoutMs: number,
): Promise<Outcome[]> {
  const deadline = context.clock.now() + timeoutMs;
  const reply = await client.request({
    method: 'POST',
    path: '/v1/events',
    headers: {
      'content-type': 'application/x-ndjson',
      prefer: `wait=${Math.max(1, Math.min(WAIT_SECONDS, Math.floor(timeoutMs / 1000)))}`,
    },
    body: batch.map(({ line }) => `${line}\n`).join(''),
    retryUntil: deadline,
  });
  const listed: unknown = (Object(reply.body) as { events?: unknown }).events;
  if (!Array.isArray(listed) || listed.length !== batch.length) {
    throw new CountersignError(
      'service-unavailable',
      `${client.url} did not answer for each event that was sent`,
    );
  }
  const outcomes: Outcome[] = [];
  for (const [index, { id }] of batch.entries()) {
    let outcome = outcomeOf(id, listed[index], client.url);
    while (outcome === undefined) {
      if (context.clock.now() > deadline) {
        throw new CountersignError(
          'service-unavailable',
          `event ${id} was accepted by ${client.url} but not published within ${formatDuration(timeoutMs)}`,
        );
      }
      await context.clock.sleep(POLL_MS);
      const path = `/v1/events/${encodeURIComponent(id)}`;
      const state = await client.request({ method: 'GET', path, retryUntil: deadline });
      outcome = outcomeOf(id, state.body, client.url);
    }
    outcomes.push(outcome);
  }
  return outcomes;
}

/** Undefined while the event is only accepted. */
function outcomeOf(id: string, answer: unknown, url: string): Outcome | undefined {
  const { state, snapshot, reason } = Object(answer) as Readonly<Record<string, unknown>>;
  if (state === 'accepted') return undefined;
  if (state === 'published' && typeof snapshot === 'number') return { id, state, snapshot };
  if (state === 'rejected')
    return { id, state, reason: typeof reason === 'string' ? reason : 'no reason given' };
  throw new CountersignError('service-unavailable', `${url} answered with an unknown state of event ${id}`);
}
