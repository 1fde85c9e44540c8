// The thread of ./delay-proxy.ts: forwards connections, and each piece of a request after the delay, in its order.
import { connect, createServer, type AddressInfo } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';

const { targetPort, delayMs } = workerData as { readonly targetPort: number; readonly delayMs: number };

const server = createServer({ noDelay: true, allowHalfOpen: true }, (near) => {
  const far = connect({ port: targetPort, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  const end = (): void => {
    near.destroy();
    far.destroy();
  };
  for (const socket of [near, far]) socket.on('error', end);
  // Timers of one length go off in the order in which they were set.
  near.on('data', (piece) => setTimeout(() => far.write(piece), delayMs));
  near.on('end', () => setTimeout(() => far.end(), delayMs));
  far.pipe(near);
  near.on('close', () => setTimeout(end, delayMs));
});
server.listen(0, '127.0.0.1', () => {
  parentPort?.postMessage((server.address() as AddressInfo).port);
});
