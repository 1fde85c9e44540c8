// A mirror that goes on: a sync at each event of upstream's stream, and after each interval in any case. An error ends
// nothing: what the mirror shows stays, and the next sync is tried later.
import type { Clock } from '../../lib/clock.ts';
import { CountersignError } from '../../lib/errors.ts';
import { followStream } from './follow-stream.ts';
import type { SyncReport } from './mirror.ts';

/** Milliseconds between two syncs at least, however many events come. */
const SHORTEST_PAUSE_MS = 1000;
/** Milliseconds to the next attempt after an error, at most; begins at SHORTEST_PAUSE_MS and doubles. */
const LONGEST_PAUSE_MS = 300_000;
/** Milliseconds until a stream is asked for again that broke, and one that was not there. */
const RECONNECT_MS = 5000;
const ASK_AGAIN_MS = 600_000;

export interface WatchPorts {
  sync(): Promise<SyncReport>;
  readonly clock: Clock;
  /** 0 <= r < 1, for jitter. */
  readonly random: () => number;
  /** Milliseconds between two syncs without an event. */
  readonly intervalMs: number;
  /** Where upstream tells about new snapshots; undefined: nowhere. */
  readonly stream: URL | undefined;
  readonly signal: AbortSignal;
  succeeded(report: SyncReport): void;
  failed(error: CountersignError): void;
}

/**
 * Syncs until `signal` is aborted.
 * @throws what no later sync could mend: errors of usage, and faults inside countersign.
 */
export async function watch(ports: WatchPorts): Promise<void> {
  const { clock, random, intervalMs, signal } = ports;
  const bell = new Bell();
  const following = follow(ports, bell);
  let failures = 0;
  while (!signal.aborted) {
    bell.clear();
    try {
      ports.succeeded(await ports.sync());
      failures = 0;
    } catch (error) {
      if (ended(signal)) break;
      if (!(error instanceof CountersignError) || error.kind === 'usage' || error.code === 'internal')
        throw error;
      ports.failed(error);
      failures += 1;
    }
    const backOffMs = Math.min(LONGEST_PAUSE_MS, SHORTEST_PAUSE_MS * 2 ** Math.min(failures, 16));
    await clock.sleep(failures === 0 ? SHORTEST_PAUSE_MS : backOffMs, signal);
    // Jitter, so that a thousand mirrors do not ask in the same second.
    if (failures === 0) await bell.wait(clock, intervalMs * (0.9 + 0.2 * random()), signal);
  }
  await following;
}

async function follow({ stream, clock, random, signal }: WatchPorts, bell: Bell): Promise<void> {
  if (stream === undefined) return;
  while (!ended(signal)) {
    const end = await followStream(
      stream,
      () => {
        bell.ring();
      },
      signal,
    );
    await clock.sleep((end === 'absent' ? ASK_AGAIN_MS : RECONNECT_MS) * (0.5 + random()), signal);
  }
}

function ended(signal: AbortSignal): boolean {
  return signal.aborted;
}

/** Rung while a sync runs, it is heard afterwards. */
class Bell {
  #rung = false;
  #waiting: AbortController | undefined;

  ring(): void {
    this.#rung = true;
    this.#waiting?.abort();
  }

  clear(): void {
    this.#rung = false;
  }

  async wait(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
    if (this.#rung || signal.aborted) return;
    const waiting = new AbortController();
    this.#waiting = waiting;
    const stop = (): void => {
      waiting.abort();
    };
    signal.addEventListener('abort', stop, { once: true });
    await clock.sleep(ms, waiting.signal);
    signal.removeEventListener('abort', stop);
    this.#waiting = undefined;
  }
}
