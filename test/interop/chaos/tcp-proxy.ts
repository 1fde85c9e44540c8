// A proxy of bytes between a node and PostgreSQL: cuts connections, cuts answers in half, answers late.
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { onTestFinished } from 'vitest';
import { systemClock } from '../../../src/lib/clock.ts';

export interface TcpProxy {
  readonly port: number;
  /** Milliseconds before each piece of an answer goes on. */
  delayMs: number;
  /** Ends every connection at once; new ones are taken. Answers how many there were. */
  cut(): number;
  /** The next `count` pieces of answers arrive by half, then their connection ends. */
  halve(count: number): void;
}

export async function tcpProxy(targetPort: number): Promise<TcpProxy> {
  const open = new Set<Socket>();
  let halves = 0;
  const handle = (near: Socket): void => {
    const far = connect(targetPort, '127.0.0.1');
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        open.delete(socket);
        other.destroy();
      });
    }
    near.pipe(far);
    void carryAnswers(far, near).catch(() => near.destroy());
  };
  const carryAnswers = async (far: Socket, near: Socket): Promise<void> => {
    for await (const piece of far as AsyncIterable<Buffer>) {
      if (proxy.delayMs > 0) await systemClock.sleep(proxy.delayMs);
      if (halves > 0) {
        halves -= 1;
        near.end(piece.subarray(0, piece.length >> 1));
        return;
      }
      if (!near.write(piece) && !near.destroyed)
        await Promise.race([once(near, 'drain'), once(near, 'close')]);
    }
  };
  const server = createServer(handle).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const proxy: TcpProxy = {
    port: (server.address() as AddressInfo).port,
    delayMs: 0,
    cut: () => {
      const count = open.size / 2;
      for (const socket of open) socket.destroy();
      return count;
    },
    halve: (count) => {
      halves = count;
    },
  };
  onTestFinished(async () => {
    proxy.cut();
    server.close();
    await once(server, 'close');
  });
  return proxy;
}
