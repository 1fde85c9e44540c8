// What somebody can do who has the keys of the bucket, on a real server: requests of his own, without any condition.
import { DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, onTestFinished } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { openS3Store } from '../../src/storage/s3-store.ts';
import { alteredStoreSuite, type AlterableStore } from '../faults/altered-store.suite.ts';
import { BUCKET, CREDENTIALS, startS3Server, type S3Server } from '../../scripts/interop/s3-server.ts';

let server: S3Server;
beforeAll(async () => {
  Object.assign(process.env, CREDENTIALS);
  server = await startS3Server();
});
afterAll(() => server.stop());

let prefixes = 0;

alteredStoreSuite('a bucket, altered', async (): Promise<AlterableStore> => {
  const prefix = `altered-${prefixes++}`;
  const location = { bucket: BUCKET, prefix, endpoint: server.endpoint, pathStyle: true };
  const store = await openS3Store(location, { clock: systemClock, random: () => 0.5 });
  const stranger = new S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true });
  onTestFinished(() => {
    stranger.destroy();
  });
  return {
    get: (name, maxBytes) => store.get(name, maxBytes),
    putImmutable: (name, bytes) => store.putImmutable(name, bytes),
    replace: (name, bytes, token) => store.replace(name, bytes, token),
    list: (prefix) => store.list(prefix),
    remove: (name) => store.remove(name),
    tamper: async (name, bytes) => {
      const object = { Bucket: BUCKET, Key: `${prefix}/${name}` };
      if (bytes === undefined) await stranger.send(new DeleteObjectCommand(object));
      else await stranger.send(new PutObjectCommand({ ...object, Body: bytes }));
    },
  };
});
