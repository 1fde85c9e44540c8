// Requests that a client sends without waiting for answers (RFC 9112 9.3.2 "Pipelining"), begun one after the other. Node
// hands them out at once, and an answer that still waits for the one before it is never told that its connection has
// closed: whatever was held for it (open files, places, memory) would be held for ever.
import type { RequestListener } from 'node:http';

/** The same listener; a request is given to it when every answer before it on its connection is complete. */
export function inTurn(listener: RequestListener): RequestListener {
  return (request, response) => {
    if (response.socket !== null) listener(request, response);
    else
      response.once('socket', () => {
        listener(request, response);
      });
  };
}
