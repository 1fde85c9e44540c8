// How long an answer may still be worked on. (AbortSignal.any would leave a trace of every request on the shutdown
// signal, which lives as long as the process.)
import type { ServerResponse } from 'node:http';

/** Calls `end` when the answer is complete or its connection closes; at once when it is too late to be told. */
export function whenOver(response: ServerResponse, end: () => void): void {
  // A client may have left while the ledger was asked: its close is not told a second time.
  if (response.closed) end();
  else response.once('close', end);
}

/** Aborted when the answer is complete, its connection closes, or the service stops. */
export function lifetimeOf(response: ServerResponse, shutdownSignal: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const end = (): void => {
    shutdownSignal.removeEventListener('abort', end);
    response.removeListener('close', end);
    controller.abort();
  };
  if (shutdownSignal.aborted) controller.abort();
  else {
    shutdownSignal.addEventListener('abort', end);
    whenOver(response, end);
  }
  return controller.signal;
}
