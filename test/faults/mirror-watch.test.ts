// A mirror that goes on: when it looks again, what wakes it, and that no error of upstream ends it. The stream is a real
// one; time stands still unless the test moves it.
import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { SyncReport } from '../../src/client/mirror/mirror.ts';
import { watch } from '../../src/client/mirror/watch.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { eventually } from '../support/publisher-process.ts';
import { FOUNDED_AT } from '../support/repository.ts';

const MINUTE_MS = 60_000;

class Watched {
  readonly clock = new ManualClock(FOUNDED_AT);
  readonly failures: string[] = [];
  syncs = 0;
  /** What the next syncs end with. */
  error: Error | undefined;
  readonly #ending = new AbortController();
  readonly ended: Promise<void>;

  constructor({ stream, intervalMs = 10 * MINUTE_MS }: { stream?: URL; intervalMs?: number } = {}) {
    this.ended = watch({
      sync: () => {
        this.syncs += 1;
        return this.error === undefined ? Promise.resolve({} as SyncReport) : Promise.reject(this.error);
      },
      clock: this.clock,
      random: () => 0.5,
      intervalMs,
      stream,
      signal: this.#ending.signal,
      succeeded: () => undefined,
      failed: ({ code }) => this.failures.push(code),
    });
    this.ended.catch(() => undefined);
    onTestFinished(() => this.stop());
  }

  /** Moves time in steps, so that everybody who sleeps in between has the time to go on. */
  async pass(ms: number, stepMs = ms): Promise<void> {
    for (let passed = 0; passed < ms; passed += stepMs) {
      this.clock.advance(stepMs);
      for (let turn = 0; turn < 20; turn++) await Promise.resolve();
    }
  }

  async stop(): Promise<void> {
    this.#ending.abort();
    await this.ended.catch(() => undefined);
  }
}

describe('without a stream', () => {
  test('it looks after each interval', async () => {
    const watched = new Watched();
    await watched.pass(9 * MINUTE_MS, 1000);
    expect(watched.syncs).toBe(1);
    await watched.pass(2 * MINUTE_MS, 1000);
    expect(watched.syncs).toBe(2);
    await watched.pass(60 * MINUTE_MS, 1000);
    expect(watched.syncs).toBe(8);
    await watched.stop();
    await watched.ended;
  });

  test('an error is tried again, sooner than the interval and more and more rarely, for as long as it takes', async () => {
    const watched = new Watched({ intervalMs: 60 * MINUTE_MS });
    watched.error = new CountersignError('upstream-unavailable', 'it is down');
    await watched.pass(60 * MINUTE_MS, 1000);
    // One at once (it was whole), then after its interval 2, 4, 8 ... 256 s, then every 300 s.
    expect(watched.failures.length).toBe(watched.syncs - 1);
    const before = watched.syncs;
    await watched.pass(60 * MINUTE_MS, 1000);
    expect(watched.syncs - before).toBeGreaterThanOrEqual(12);
    expect(watched.syncs - before).toBeLessThanOrEqual(20);
    watched.error = undefined;
    await watched.pass(5 * MINUTE_MS + 1000, 1000);
    const mended = watched.syncs;
    await watched.pass(50 * MINUTE_MS, 1000);
    expect(watched.syncs).toBe(mended);
  });

  test('what no later sync could mend ends it', async () => {
    const watched = new Watched();
    watched.error = new CountersignError('usage', 'a wrong option');
    await watched.pass(20 * MINUTE_MS, 1000);
    await expect(watched.ended).rejects.toThrow('a wrong option');
  });
});

describe('with a stream', () => {
  test('each event is followed by a sync, however it is cut; many at once by one', async () => {
    const { url, responses } = await serveStream();
    const watched = new Watched({ stream: url });
    const synced = async (count: number): Promise<void> => {
      await eventually(`${count} syncs`, async () => {
        await watched.pass(1000);
        return watched.syncs >= count;
      });
      expect(watched.syncs).toBe(count);
    };
    await eventually('it listens', () => responses.length === 1);
    const [response] = responses;
    await synced(1);
    response?.write('retry: 2000\n\n: nothing new\n\n');
    response?.write('id: 2\nevent: snapshot\ndata: {}\n\n');
    await synced(2);
    for (let version = 3; version < 50; version++) response?.write(`id: ${version}\ndata: {}\n\n`);
    await synced(3);
    // The line is cut before its name, where nobody could miss it.
    response?.write('event: snapshot\n');
    await new Promise((resolve) => setImmediate(resolve));
    response?.write('id: 50\ndata: {}\n\n');
    await synced(4);
  });

  test('one that breaks is asked for again in seconds, one that does not exist in minutes', async () => {
    const broken = await serveStream();
    const watched = new Watched({ stream: broken.url });
    await eventually('it listens', () => broken.responses.length === 1);
    broken.responses[0]?.destroy();
    await eventually('it comes back', async () => {
      await watched.pass(1000);
      return broken.responses.length === 2;
    });
    broken.responses[1]?.write('id: 9\n\n');
    const before = watched.syncs;
    await eventually('it is woken', async () => {
      await watched.pass(1000);
      return watched.syncs > before;
    });

    const absent = await serveStream(404);
    const other = new Watched({ stream: absent.url });
    await eventually('it asks', () => absent.responses.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    await other.pass(9 * MINUTE_MS, 1000);
    expect(absent.responses).toHaveLength(1);
    await eventually('it asks again', async () => {
      await other.pass(MINUTE_MS);
      return absent.responses.length > 1;
    });
  });
});

/** Answers with a stream that stays open, or with another status. */
async function serveStream(status = 200): Promise<{ url: URL; responses: ServerResponse[] }> {
  const responses: ServerResponse[] = [];
  const server = createServer((_request, response) => {
    response.writeHead(status, { 'content-type': 'text/event-stream' });
    if (status === 200) response.write(':\n\n');
    else response.end();
    responses.push(response);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  return { url: new URL(`http://127.0.0.1:${port}/v1/stream`), responses };
}
