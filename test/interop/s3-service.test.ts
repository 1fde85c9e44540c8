// The built programs with their store in a bucket: founded, served, killed in the middle of publications, served again,
// and judged by fsck. Prints what it took.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { eventually } from '../support/publisher-process.ts';
import { tempDir } from '../support/temp-dir.ts';
import { faultyProxy } from './faulty-proxy.ts';
import { BUCKET, CREDENTIALS, startS3Server, type S3Server } from '../../scripts/interop/s3-server.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const CEREMONY = fileURLToPath(new URL('../../dist/keys-ceremony/main.js', import.meta.url));
const BINS = 256;

let server: S3Server;
beforeAll(async () => {
  server = await startS3Server();
});
afterAll(() => server.stop());

test('an index in a bucket survives kills of its service', async () => {
  const index = await found('killed', server.endpoint);
  const ids: string[] = [];
  for (let round = 0; round < 4; round++) {
    const service = await index.serve();
    for (let batch = 0; batch < 5; batch++) ids.push(...(await service.accept(5, `${round}-${batch}`)));
    // Some batches are public now, one is half-way, others are only in the ledger.
    service.child.kill('SIGKILL');
    await service.ended;
  }
  const service = await index.serve();
  await eventually('all events are published', async () => {
    const states = await service.states(ids);
    return states.every((state) => state === 'published');
  });
  service.child.kill('SIGTERM');
  expect((await service.ended)[0]).toBe(0);
  expect(await index.run('fsck', '--json')).toMatch(/"violations": \[\]/);
});

test.each([0, 20])('publications with %d ms more to the store', async (delayMs) => {
  const proxy = await faultyProxy(server.endpoint);
  proxy.delayMs = delayMs;
  const startedAt = systemClock.now();
  const index = await found(`delay-${delayMs}`, proxy.endpoint);
  const foundedMs = systemClock.now() - startedAt;
  const service = await index.serve();
  const took: number[] = [];
  for (let round = 0; round < 20; round++) {
    const before = systemClock.now();
    await service.accept(1, `timed-${delayMs}-${round}`, 'wait=30');
    took.push(systemClock.now() - before);
  }
  service.child.kill('SIGTERM');
  await service.ended;
  took.sort((a, b) => a - b);
  console.log(
    `${delayMs} ms: bootstrap of ${BINS} bins ${foundedMs} ms; upload until public: median ${took[10]} ms, worst ${took.at(-1)} ms`,
  );
  expect(await index.run('fsck', '--json')).toMatch(/"violations": \[\]/);
});

async function found(prefix: string, endpoint: string) {
  const folder = path.join(await tempDir(), 'index');
  const env = {
    ...process.env,
    ...CREDENTIALS,
    COUNTERSIGN_STORE: `s3://${BUCKET}/${prefix}?endpoint=${endpoint}&path-style=true`,
    COUNTERSIGN_LISTEN: '127.0.0.1:0',
    COUNTERSIGN_LOG_LEVEL: 'warn',
  };
  const start = (program: string, ...args: string[]): ChildProcess => {
    const cwd = program === CEREMONY ? path.dirname(folder) : folder;
    const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: 'pipe' });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  };
  const finish = async (program: string, ...args: string[]): Promise<string> => {
    const child = start(program, ...args);
    const [said, complained, [code]] = await Promise.all([
      text(child.stdout!),
      text(child.stderr!),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${String(code)}: ${complained}${said}`);
    return said;
  };
  await finish(CEREMONY, 'rehearse', '--out', folder, '--bins', String(BINS), '--json');
  await finish(PROGRAM, 'bootstrap', 'bundle.json', '--json');

  const serve = async () => {
    const child = start(PROGRAM, 'serve', '--json');
    const ended = once(child, 'close') as Promise<[number | null]>;
    child.stderr?.resume();
    const url = await new Promise<string>((resolve, reject) => {
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const address = /"address": "([^"]+)"/.exec(line)?.[1];
        if (address !== undefined) resolve(address);
      });
      void ended.then(() => {
        reject(new Error('serve ended before it listened'));
      });
    });
    const accept = async (count: number, tag: string, prefer?: string): Promise<string[]> => {
      const events = Array.from({ length: count }, (_, number) => {
        const name = `packages/${tag}/demo-${number}+x.whl`;
        const hashes = { sha256: sha256Hex(name) };
        return { id: `${tag}-${number}`, changes: [{ op: 'add', path: name, length: 1, hashes }] };
      });
      const response = await fetch(`${url}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(prefer === undefined ? {} : { prefer }) },
        body: JSON.stringify({ events }),
      });
      expect(response.status).toBe(prefer === undefined ? 202 : 200);
      return events.map(({ id }) => id);
    };
    const states = (ids: readonly string[]): Promise<string[]> =>
      Promise.all(
        ids.map(async (id) => {
          const response = await fetch(`${url}/v1/events/${id}`);
          return ((await response.json()) as { state: string }).state;
        }),
      );
    return { child, ended, accept, states };
  };
  return { serve, run: (...args: string[]) => finish(PROGRAM, ...args) };
}
