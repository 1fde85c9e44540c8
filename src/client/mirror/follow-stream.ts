// The event stream of an index that runs countersign, as a hint that there is something new. What an event says is not
// looked at: nothing in it is signed.
import { setTimeout as after } from 'node:timers';
import { followRedirects } from '../follow-redirects.ts';

/** Milliseconds without a byte after which a stream is taken for dead; the service sends something every 15 s. */
const SILENCE_MS = 60_000;

/** Why a stream ended. */
export type StreamEnd =
  /** There was one; it may come back. */
  | 'broken'
  /** There is none at this address, or not for us. */
  | 'absent';

/** Calls `wake` at each event until the stream ends or `signal` is aborted. Never rejects. */
export async function followStream(url: URL, wake: () => void, signal: AbortSignal): Promise<StreamEnd> {
  const stop = new AbortController();
  const end = (): void => {
    stop.abort();
  };
  signal.addEventListener('abort', end, { once: true });
  let silence = after(end, SILENCE_MS);
  try {
    const answer = await followRedirects(url, stop.signal);
    const { status } = answer;
    const type = answer.header('content-type') ?? '';
    if (status !== 200 || !type.startsWith('text/event-stream')) {
      return status === 429 || status >= 500 ? 'broken' : 'absent';
    }
    let atLineStart = true;
    for await (const chunk of answer.body) {
      clearTimeout(silence);
      silence = after(end, SILENCE_MS);
      const text = Buffer.from(chunk).toString('latin1');
      // Each event has one line "id: VERSION"; a line that is cut in two costs a poll, not an update.
      if (/(?:\n|\r)id:/.test(text) || (atLineStart && text.startsWith('id:'))) wake();
      atLineStart = /[\n\r]$/.test(text);
    }
    return 'broken';
  } catch {
    return 'broken';
  } finally {
    clearTimeout(silence);
    signal.removeEventListener('abort', end);
    stop.abort();
  }
}
