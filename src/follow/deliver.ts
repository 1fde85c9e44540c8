// The queue of events, sent to the service in order and taken off when each is published or refused for good.
import type { Refusal } from './compare-page.ts';
import type { FollowState, QueuedEvent } from './follow-state.ts';

/** What became of an event. */
export type Settled =
  { readonly state: 'published' } | { readonly state: 'rejected'; readonly reason: string };

export interface Delivery {
  readonly state: FollowState;
  /** Sends events and waits until each is settled; outcomes in the same order. May be asked again for the same events. */
  readonly send: (events: readonly QueuedEvent[]) => Promise<readonly Settled[]>;
  /** Told about each request. */
  readonly report: (published: number, refusals: readonly Refusal[]) => void;
}

/** Events in one request: all of them become one publication. */
const AT_ONCE = 1000;

/** Empties the queue; what `send` throws leaves the rest for the next time. */
export async function deliver({ state, send, report }: Delivery): Promise<void> {
  for (let events = state.oldest(AT_ONCE); events.length > 0; events = state.oldest(AT_ONCE)) {
    const outcomes = await send(events);
    const refusals = events.flatMap(({ op, path }, i) => {
      const outcome = outcomes[i];
      // A removal is refused when there is nothing to remove, which is what was wanted.
      return outcome?.state === 'rejected' && op !== 'remove' ? [{ path, reason: outcome.reason }] : [];
    });
    state.settled(events, refusals);
    report(events.length - refusals.length, refusals);
  }
}
