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

test('a token is renewed in time though the clock is put back by hours', async () => {
  // What a timer counts, and what the clock says.
  let counted = 0;
  let back = 0;
  let renewed = 0;
  const clock: Clock = {
    now: () => counted - back,
    sleep: async (ms, signal) => {
      await new Promise((resolve) => setImmediate(resolve));
      if (signal?.aborted === true) return;
      counted += ms;
      back = 5 * 60 * MINUTE_MS;
    },
  };
  let endsAt = 60 * MINUTE_MS;
  const transport: VaultTransport = {
    send: ({ path }) => {
      if (counted > endsAt) {
        const response = { statusCode: 403, body: { errors: [] } };
        return Promise.reject(Object.assign(new Error('it has ended'), { response }));
      }
      if (path.endsWith('lookup-self')) return Promise.resolve({ data: { ttl: 3600, renewable: true } });
      renewed += 1;
      endsAt = counted + 60 * MINUTE_MS;
      return Promise.resolve({ auth: { lease_duration: 3600, renewable: true } });
    },
    close: () => undefined,
  };
  const login = { method: 'token', token: () => Promise.resolve('from the file') } as const;
  const token = new VaultToken(transport, 'https://vault.example', login, clock);
  await token.get();
  for (let i = 0; i < 1000 && renewed < 5 && counted <= endsAt; i++) {
    await new Promise((resolve) => setImmediate(resolve));
  }
  await token.close();
  expect(counted).toBeLessThanOrEqual(endsAt);
  expect(renewed).toBeGreaterThanOrEqual(5);
});
