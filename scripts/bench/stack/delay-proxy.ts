// The way to a server that is further off: every byte on its way there is late by the same time. A thread of its own, so
// that it does not share the time of whoever measures.
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';

export interface DelayProxy {
  readonly port: number;
  stop(): Promise<void>;
}

/** `delayMs` is added to each request, however many connections there are; answers come back at once. */
export async function delayProxy(targetPort: number, delayMs: number): Promise<DelayProxy> {
  // Built by tsc, as everything under scripts is.
  const worker = new Worker(new URL('delay-worker.js', import.meta.url), {
    workerData: { targetPort, delayMs },
  });
  const [port] = (await once(worker, 'message')) as [number];
  return {
    port,
    stop: async () => {
      await worker.terminate();
    },
  };
}
