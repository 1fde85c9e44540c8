// A repository moves into a bucket of a real S3 server and back into a directory, interrupted on the way: every byte is
// there again, and fsck finds nothing.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { copyStore, type CopyReport } from '../../src/publish/copy-store.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { openS3Store } from '../../src/storage/s3-store.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { FaultyProcess } from '../support/faulty-ports.ts';
import { expectSound } from '../support/oracle.ts';
import { foundRepository, publishPaths } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';
import { BUCKET, CREDENTIALS, startS3Server, type S3Server } from '../../scripts/interop/s3-server.ts';

let server: S3Server;
const before = { ...process.env };
beforeAll(async () => {
  server = await startS3Server();
  Object.assign(process.env, CREDENTIALS);
});
afterAll(async () => {
  for (const name of Object.keys(CREDENTIALS)) {
    if (before[name] === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = before[name];
  }
  await server.stop();
});

async function content(store: ObjectStore): Promise<Map<string, string>> {
  const objects = new Map<string, string>();
  for await (const { name } of store.list('')) {
    const bytes = (await store.get(name, 1e7))?.bytes ?? new Uint8Array();
    objects.set(name, Buffer.from(bytes).toString('latin1'));
  }
  return new Map([...objects].sort());
}

test('directory to bucket to directory, killed at writes on the way', async () => {
  const from = await openFileStore(await tempDir());
  const repository = await foundRepository({ store: from, bins: 256 });
  for (const round of [1, 2]) {
    await publishPaths(
      repository,
      Array.from({ length: 40 }, (_, i) => `packages/${round}+${i}.whl`),
    );
  }
  const { clock, ledger, rootBytes } = repository;
  const location = { bucket: BUCKET, prefix: 'moved/here', endpoint: server.endpoint, pathStyle: true };
  const bucket = await openS3Store(location, { clock: systemClock, random: () => 0.5 });
  const back = await openFileStore(await tempDir());
  const move = async (source: ObjectStore, destination: ObjectStore): Promise<CopyReport> => {
    const ports = { from: source, clock, trustedRoot: rootBytes };
    for (const nth of [1, 100, 300]) {
      const dying = new FaultyProcess({ write: 'putImmutable', nth, fault: 'dies after it' });
      const killed = copyStore({ ...ports, to: dying.store(destination) });
      if (nth < 300) await expect(killed).rejects.toThrow();
      else await killed.catch(() => undefined);
    }
    return copyStore({ ...ports, to: destination });
  };
  const startedAt = systemClock.now();
  const first = await move(from, bucket);
  console.log(
    `${first.copied + first.present} objects into the bucket in ${systemClock.now() - startedAt} ms`,
  );
  await expectSound({ store: bucket, clock, rootBytes, ledger });
  await move(bucket, back);
  expect(await content(back)).toEqual(await content(from));
  await expectSound({ store: back, clock, rootBytes, ledger });
});
