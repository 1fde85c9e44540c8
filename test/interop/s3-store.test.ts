// The S3 store against a real server, directly and through a proxy that breaks things.
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { collectStaging } from '../../src/backsign/staging-garbage.ts';
import { utf8 } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import type { S3Limits } from '../../src/storage/s3-limits.ts';
import { openS3Store, type S3Options } from '../../src/storage/s3-store.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { stagedName } from '../../src/tuf/layout.ts';
import { storeContract } from '../contracts/store.contract.ts';
import { faultyProxy, type Fault, type FaultyProxy } from './faulty-proxy.ts';
import {
  BUCKET,
  CREDENTIALS,
  READER,
  startS3Server,
  type S3Server,
} from '../../scripts/interop/s3-server.ts';

let server: S3Server;
beforeAll(async () => {
  Object.assign(process.env, CREDENTIALS);
  server = await startS3Server();
});
afterAll(() => server.stop());

let prefixes = 0;
const newPrefix = (): string => `test+${process.pid}/run-${prefixes++}`;

const random = (): number => 0.5;

function open(
  endpoint = server.endpoint,
  prefix = newPrefix(),
  options: S3Options = {},
): Promise<ObjectStore> {
  const location = { bucket: BUCKET, prefix, endpoint, pathStyle: true };
  return openS3Store(location, { clock: systemClock, random }, options);
}

storeContract('S3', async () => {
  const prefix = newPrefix();
  return [await open(undefined, prefix), await open(undefined, prefix)];
});

describe('what is written', () => {
  test('carries a content type and says how long it may be cached', async () => {
    const prefix = newPrefix();
    const store = await open(undefined, prefix);
    await store.putImmutable('metadata/1.root.json', utf8('{}'));
    await store.putImmutable('other', utf8('x'));
    await store.replace('metadata/timestamp.json', utf8('{}'), undefined);
    const client = plainClient(CREDENTIALS.AWS_ACCESS_KEY_ID, CREDENTIALS.AWS_SECRET_ACCESS_KEY);
    const head = async (name: string) => {
      const answer = await client.send(new GetObjectCommand({ Bucket: BUCKET, Key: `${prefix}/${name}` }));
      await answer.Body?.transformToByteArray();
      return [answer.ContentType, answer.CacheControl];
    };
    expect(await head('metadata/1.root.json')).toEqual([
      'application/json',
      'public, max-age=31536000, immutable',
    ]);
    expect(await head('other')).toEqual(['application/octet-stream', 'public, max-age=31536000, immutable']);
    expect(await head('metadata/timestamp.json')).toEqual([
      'application/json',
      'public, max-age=2, must-revalidate',
    ]);
    client.destroy();
  });

  test('leaves nothing of the probe behind, and prefixes do not see each other', async () => {
    const prefix = newPrefix();
    await open(undefined, `${prefix}/inner`);
    const outer = await open(undefined, prefix);
    const raw = await names(outer, '');
    expect(raw).toEqual([]);
    await (await open(undefined, `${prefix}x`)).putImmutable('a', utf8('a'));
    expect(await names(outer, '')).toEqual([]);
  });

  test('by a back-signing run that was given up is collected by the times of the server', async () => {
    const store = await open();
    const staged = ['index', '0', '17'].map((part) => stagedName('0f'.repeat(32), part));
    for (const name of staged) await store.putImmutable(name, utf8('x'));
    const ledger = {
      head: () => Promise.resolve(undefined),
      openOrders: () => Promise.resolve([]),
      orderContent: () => Promise.resolve(undefined),
    };
    const collect = (later: number) =>
      collectStaging({
        ledger,
        store,
        clock: { ...systemClock, now: () => systemClock.now() + later },
        snapshotsMs: 0,
      });
    expect(await collect(23 * 3_600_000)).toMatchObject({ stagedRemoved: 0, stagedKept: 3 });
    expect(await collect(25 * 3_600_000)).toMatchObject({ stagedRemoved: 3, stagedRemovedBytes: 3 });
    expect(await names(store, '')).toEqual([]);
  });

  test('is listed over many pages', async () => {
    const store = await open();
    const all = Array.from({ length: 2_150 }, (_, index) => `metadata/${index + 1}.bin-00.json`);
    for (let start = 0; start < all.length; start += 50) {
      await Promise.all(all.slice(start, start + 50).map((name) => store.putImmutable(name, utf8('x'))));
    }
    expect(await names(store, 'metadata/')).toEqual([...all].sort());
    expect(await names(store, 'metadata/21')).toHaveLength(1 + 10 + 51);
  });
});

describe('permissions', () => {
  test('credentials that may only read open the store to read, and are told what is missing to publish', async () => {
    const prefix = newPrefix();
    await (await open(undefined, prefix)).putImmutable('metadata/1.root.json', utf8('root'));
    await withCredentials(READER.accessKeyId, READER.secretAccessKey, async () => {
      const reader = await open(undefined, prefix, { access: 'read' });
      expect((await reader.get('metadata/1.root.json', 10))?.bytes.length).toBe(4);
      expect(await reader.get('metadata/2.root.json', 10)).toBeUndefined();
      await expect(open(undefined, prefix)).rejects.toMatchObject({
        code: 'store-unavailable',
        message: expect.stringMatching(/AccessDenied \(403\): the policy must allow s3:GetObject/) as string,
      });
    });
  });

  test('unknown keys, wrong secrets and absent buckets are named', async () => {
    await withCredentials('nobody', 'x', () =>
      expect(open()).rejects.toMatchObject({
        message: expect.stringMatching(/InvalidAccessKeyId|AccessDenied/) as string,
      }),
    );
    await withCredentials(CREDENTIALS.AWS_ACCESS_KEY_ID, 'wrong', () =>
      expect(open()).rejects.toMatchObject({
        message: expect.stringMatching(/SignatureDoesNotMatch/) as string,
      }),
    );
    const location = { bucket: 'absent-bucket', prefix: '', endpoint: server.endpoint, pathStyle: true };
    await expect(
      openS3Store(location, { clock: systemClock, random }, { access: 'read' }).then((store) =>
        store.get('x', 1),
      ),
    ).rejects.toMatchObject({ message: expect.stringMatching(/NoSuchBucket \(404\)/) as string });
  });
});

describe('through a proxy that breaks things', () => {
  const LIMITS: Partial<S3Limits> = { firstPauseMs: 5, longestPauseMs: 20, attemptMs: 1_500 };
  const isPut = ({ method }: { method: string }): boolean => method === 'PUT';
  const through = async (): Promise<[ObjectStore, FaultyProxy]> => {
    const proxy = await faultyProxy(server.endpoint);
    return [await open(proxy.endpoint, newPrefix(), { limits: LIMITS }), proxy];
  };
  const refused: Fault[] = ['refuse-500', 'refuse-503', 'cut-before'];
  const lost: Fault[] = ['cut-after', 'answer-500-after'];

  test.each(refused)('%s: a write that did not happen is repeated', async (fault) => {
    const [store, proxy] = await through();
    proxy.plan([fault, fault], isPut);
    expect(await store.putImmutable('a', utf8('a'))).toBe('created');
    proxy.plan([fault], isPut);
    const token = await store.replace('pointer', utf8('1'), undefined);
    proxy.plan([fault], isPut);
    await store.replace('pointer', utf8('2'), token);
    await expect(store.replace('pointer', utf8('3'), token)).rejects.toMatchObject({
      code: 'store-conflict',
    });
  });

  test.each(lost)('%s: a write whose answer was lost is not taken for somebody else’s', async (fault) => {
    const [store, proxy] = await through();
    proxy.plan([fault], isPut);
    expect(await store.putImmutable('a', utf8('a'))).toBe('exists');
    proxy.plan([fault], isPut);
    const first = await store.replace('pointer', utf8('1'), undefined);
    expect((await store.get('pointer', 10))?.token).toBe(first);
    proxy.plan([fault], isPut);
    const second = await store.replace('pointer', utf8('2'), first);
    expect((await store.get('pointer', 10))?.token).toBe(second);
    proxy.plan([fault, fault], isPut);
    await expect(store.replace('pointer', utf8('4, longer'), first)).rejects.toMatchObject({
      code: 'store-conflict',
    });
    expect(Buffer.from((await store.get('pointer', 10))?.bytes ?? []).toString()).toBe('2');
  });

  test.each(['half-answer', 'stall', 'flip-byte', 'cut-after', 'refuse-503'] as const)(
    '%s: a read is repeated until it is whole',
    async (fault) => {
      const [store, proxy] = await through();
      const bytes = new Uint8Array(200_000).map((_, index) => index % 251);
      await store.putImmutable('a', bytes);
      proxy.plan([fault]);
      expect(Buffer.compare((await store.get('a', bytes.length))?.bytes ?? utf8(''), bytes)).toBe(0);
      expect(proxy.seen.filter(({ method, url }) => method === 'GET' && url.includes('/a?'))).toHaveLength(2);
      proxy.plan([fault]);
      expect(await names(store, '')).toEqual(['a']);
      proxy.plan(['cut-after']);
      await store.remove('a');
      expect(await store.get('a', 10)).toBeUndefined();
    },
  );

  test('a server that stays down is reported after few requests, then after one; it recovers', async () => {
    const proxy = await faultyProxy(server.endpoint);
    const limits = { ...LIMITS, retryBudget: 4 };
    const store = await open(proxy.endpoint, newPrefix(), { limits });
    proxy.plan(Array.from({ length: 1000 }, () => 'refuse-500' as const));
    const before = proxy.seen.length;
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => store.get('a', 10)));
    expect(results.every(({ status }) => status === 'rejected')).toBe(true);
    expect(proxy.seen.length - before).toBe(10 + 4);
    proxy.plan([]);
    for (let index = 0; index < 10; index++) await store.get('a', 10);
    proxy.plan(['refuse-500']);
    expect(await store.get('a', 10)).toBeUndefined();
  });

  test('an object beyond the cap is not read to its end', async () => {
    const [store] = await through();
    await store.putImmutable('large', new Uint8Array(3_000_000));
    await expect(store.get('large', 1_000)).rejects.toMatchObject({ code: 'metadata-too-large' });
    // The connection that was given up is not used for the next answer.
    expect((await store.get('large', 3_000_000))?.bytes.length).toBe(3_000_000);
  });
});

async function names(store: ObjectStore, prefix: string): Promise<string[]> {
  const found: string[] = [];
  for await (const { name } of store.list(prefix)) found.push(name);
  return found.sort();
}

function plainClient(accessKeyId: string, secretAccessKey: string): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  });
}

/** The standard chain reads the environment when a client is made for the first request. */
async function withCredentials(id: string, secret: string, body: () => Promise<unknown>): Promise<void> {
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret });
  try {
    await body();
  } finally {
    Object.assign(process.env, CREDENTIALS);
  }
}
