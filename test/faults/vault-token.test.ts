// A token of Vault at the end of its greatest age: each renewal gives less, until it is refused.
import { expect, test } from 'vitest';
import type { Clock } from '../../src/lib/clock.ts';
import { VaultToken } from '../../src/signing/vault/token.ts';
import type { VaultTransport } from '../../src/signing/vault/transport.ts';

const MINUTE_MS = 60_000;

/** Time that jumps from one sleep to the next, and stands still at the end. */
class JumpingClock implements Clock {
  #now = 0;
  readonly #end: number;
  /** Resolves when the end is reached. */
  readonly ended: Promise<void>;
  #reached = (): void => undefined;

  constructor(end: number) {
    this.#end = end;
    this.ended = new Promise((resolve) => (this.#reached = resolve));
  }

  now(): number {
    return this.#now;
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve));
    this.#now += ms;
    if (this.#now < this.#end) return;
    this.#reached();
    await new Promise<void>((resolve) => {
      if (signal?.aborted === true) resolve();
      signal?.addEventListener('abort', () => {
        resolve();
      });
    });
  }
}

test('a token that has ended is asked for now and then, not without pause', async () => {
  const clock = new JumpingClock(11 * MINUTE_MS);
  let refused = 0;
  const transport: VaultTransport = {
    send: ({ path }) => {
      const left = Math.floor((MINUTE_MS - clock.now()) / 1000);
      if (left > 0) {
        const lease = {
          renewable: true,
          ...(path.endsWith('lookup-self') ? { ttl: left } : { lease_duration: left }),
        };
        return Promise.resolve(path.endsWith('lookup-self') ? { data: lease } : { auth: lease });
      }
      refused += 1;
      return Promise.reject(
        Object.assign(new Error('no'), { response: { statusCode: 403, body: { errors: [] } } }),
      );
    },
    close: () => undefined,
  };
  const login = { method: 'token', token: () => Promise.resolve('from the file') } as const;
  const token = new VaultToken(transport, 'https://vault.example.org', login, clock);
  expect(await token.get()).toBe('from the file');
  await clock.ended;
  await token.close();
  // Ten minutes, each try a request to renew and perhaps one to log in.
  expect(refused).toBeGreaterThan(10);
  expect(refused).toBeLessThan(300);
});
