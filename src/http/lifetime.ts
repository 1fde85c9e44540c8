// How long an answer may still be worked on. (AbortSignal.any would leave a trace of every request on the shutdown
// signal, which lives as long as the process.)
import type { ServerResponse } from 'node:http';

/** Aborted when the answer is complete, its connection closes, or the service stops. */
export function lifetimeOf(response: ServerResponse, shutdownSignal: AbortSignal): AbortSignal {
  const controller = new AbortController();
  const end = (): void => {
    shutdownSignal.removeEventListener('abort', end);
    response.removeListener('close', end);
    controller.abort();
  };
  if (response.closed || shutdownSignal.aborted) controller.abort();
  else {
    shutdownSignal.addEventListener('abort', end);
    response.once('close', end);
  }
  return controller.signal;
}
