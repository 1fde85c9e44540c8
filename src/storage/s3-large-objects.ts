// Large objects in an S3 bucket. S3 makes an object of what arrived; so that nothing is made of bytes which turn out to
// be wrong at their end, a body first goes into a local file, and is sent when it is whole.
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { IMMUTABLE_CACHING } from '../lib/caching.ts';
import { CountersignError } from '../lib/errors.ts';
import { storeUnavailable } from './durable-file.ts';
import type { LargeObjects } from './large-objects.ts';
import { checkName } from './object-name.ts';
import { createS3Client } from './s3-client.ts';
import { DEFAULT_S3_LIMITS, type S3Limits } from './s3-limits.ts';
import type { S3Location } from './s3-location.ts';
import { S3Objects } from './s3-objects.ts';
import { Retry } from './s3-retry.ts';
import { keyPrefix, type S3Runtime } from './s3-store.ts';

/** Milliseconds for one attempt: 5 GB, the most that S3 takes in one request, at 12 Mbit/s. */
const ATTEMPT_MS = 3_600_000;

/**
 * Milliseconds in which nothing moves. Whoever reads counts too: what is not taken from the socket for so long is given up.
 */
const SILENCE_MS = 60_000;

/**
 * Opens the large objects below the location's prefix. `spool`: a local directory, of which what earlier processes left
 * there is removed; the caller sees to it that no other process uses it.
 * @throws CountersignError `store-unavailable`, `config-invalid` (no region).
 */
export async function openS3LargeObjects(
  location: S3Location,
  spool: string,
  { clock, random }: S3Runtime,
  given: Partial<S3Limits> = {},
): Promise<LargeObjects> {
  const limits = { ...DEFAULT_S3_LIMITS, attemptMs: ATTEMPT_MS, silenceMs: SILENCE_MS, ...given };
  try {
    await rm(spool, { recursive: true, force: true });
    await mkdir(spool, { recursive: true });
  } catch (error) {
    throw storeUnavailable('make', spool, error);
  }
  const client = await createS3Client(location, limits);
  const objects = new S3Objects(client, location.bucket, new Retry(clock, random, limits));
  return new S3LargeObjects(objects, keyPrefix(location), spool);
}

class S3LargeObjects implements LargeObjects {
  readonly #objects: S3Objects;
  readonly #prefix: string;
  readonly #spool: string;

  constructor(objects: S3Objects, prefix: string, spool: string) {
    this.#objects = objects;
    this.#prefix = prefix;
    this.#spool = spool;
  }

  async size(name: string): Promise<number | undefined> {
    checkName(name);
    return this.#objects.size(this.#prefix + name);
  }

  async *read(name: string): AsyncGenerator<Uint8Array> {
    checkName(name);
    try {
      yield* await this.#objects.open(this.#prefix + name);
    } catch (error) {
      throw storeUnavailable('read', name, error);
    }
  }

  async write(name: string, length: number, body: AsyncIterable<Uint8Array>): Promise<void> {
    checkName(name);
    let folder: string | undefined;
    try {
      folder = await mkdtemp(join(this.#spool, 'object-'));
      const file = join(folder, 'whole');
      const out = createWriteStream(file);
      await pipeline(body, out);
      if (out.bytesWritten !== length) {
        const problem = `${name} was to have ${length} bytes, its body has ${out.bytesWritten}`;
        throw new CountersignError('internal', problem);
      }
      await this.#objects.putFile(this.#prefix + name, file, {
        contentType: 'application/octet-stream',
        cacheControl: IMMUTABLE_CACHING,
      });
    } catch (error) {
      throw storeUnavailable('write', name, error);
    } finally {
      if (folder !== undefined) await rm(folder, { recursive: true, force: true });
    }
  }

  async remove(name: string): Promise<void> {
    checkName(name);
    await this.#objects.remove(this.#prefix + name);
  }
}
