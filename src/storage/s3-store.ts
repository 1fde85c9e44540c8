// The object store in an S3 bucket, or in a prefix of one. Nothing is locked: the server's conditional writes
// (`If-None-Match: *`, `If-Match`) are the arbiter between processes, and a server that does not honour them is refused
// when the store is opened (s3-probe.ts).
import { equalBytes } from '../lib/bytes.ts';
import { IMMUTABLE_CACHING, TIMESTAMP_CACHING } from '../lib/caching.ts';
import type { Clock } from '../lib/clock.ts';
import { CountersignError } from '../lib/errors.ts';
import { checkName, isPlainName } from './object-name.ts';
import { createS3Client } from './s3-client.ts';
import { DEFAULT_S3_LIMITS, type S3Limits } from './s3-limits.ts';
import { s3Uri, type S3Location } from './s3-location.ts';
import { S3Objects, type PutResult } from './s3-objects.ts';
import { probeStore } from './s3-probe.ts';
import { Retry } from './s3-retry.ts';
import type { ObjectInfo, ObjectStore, StoredObject, VersionToken } from './store.ts';

export interface S3Runtime {
  readonly clock: Clock;
  /** 0 <= r < 1. */
  readonly random: () => number;
}

export interface S3Options {
  readonly limits?: Partial<S3Limits>;
  /**
   * `read` opens the store without writing to it, for programs whose credentials may only read; whether the server
   * suits a publisher is then not looked at. Default `publish`.
   */
  readonly access?: 'publish' | 'read';
}

/**
 * Opens the store and, unless it is opened to `read`, shows with a few small objects that the server does what a
 * publisher relies on.
 * @throws CountersignError `store-unsuitable` when it does not, `store-unavailable`, `config-invalid` (no region).
 */
export async function openS3Store(
  location: S3Location,
  { clock, random }: S3Runtime,
  options: S3Options = {},
): Promise<ObjectStore> {
  const limits = { ...DEFAULT_S3_LIMITS, ...options.limits };
  const client = await createS3Client(location, limits);
  const objects = new S3Objects(client, location.bucket, new Retry(clock, random, limits));
  try {
    if (options.access !== 'read') await probeStore(objects, location, random);
  } catch (error) {
    client.destroy();
    throw error;
  }
  return new S3Store(objects, location);
}

class S3Store implements ObjectStore {
  readonly #objects: S3Objects;
  readonly #location: S3Location;
  /** Empty, or with a slash at its end. */
  readonly #prefix: string;

  constructor(objects: S3Objects, location: S3Location) {
    this.#objects = objects;
    this.#location = location;
    this.#prefix = keyPrefix(location);
  }

  async get(name: string, maxBytes: number): Promise<StoredObject | undefined> {
    checkName(name);
    const object = await this.#objects.get(this.#prefix + name, maxBytes);
    return object && { bytes: object.bytes, token: object.etag as VersionToken };
  }

  async putImmutable(name: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    checkName(name);
    const { written } = await this.#put(name, bytes, undefined, IMMUTABLE_CACHING);
    return written ? 'created' : 'exists';
  }

  async replace(name: string, bytes: Uint8Array, token: VersionToken | undefined): Promise<VersionToken> {
    checkName(name);
    const result = await this.#put(name, bytes, token, TIMESTAMP_CACHING);
    if (result.written) return result.etag as VersionToken;
    if (result.uncertain) {
      // An attempt whose answer was lost may be what changed the object: then its content is ours.
      const found = await this.#objects.get(this.#prefix + name, bytes.length).catch((error: unknown) => {
        if (error instanceof CountersignError && error.code === 'metadata-too-large') return undefined;
        throw error;
      });
      if (found !== undefined && equalBytes(found.bytes, bytes)) return found.etag as VersionToken;
    }
    const problem = token === undefined ? 'exists already' : 'is not the version that was read';
    throw new CountersignError('store-conflict', `${s3Uri(this.#location, this.#prefix + name)} ${problem}`);
  }

  async *list(prefix: string): AsyncIterable<ObjectInfo> {
    const slash = prefix.lastIndexOf('/') + 1;
    if (slash > 0) checkName(prefix.slice(0, slash - 1));
    for await (const { key, size, etag, modifiedMs } of this.#objects.list(this.#prefix + prefix)) {
      const name = key.slice(this.#prefix.length);
      // Probes, and what other programs keep under names that this store cannot have.
      if (!isPlainName(name)) continue;
      yield {
        name,
        size,
        ...(etag === '' ? {} : { stamp: `${etag} ${size} ${modifiedMs}` }),
        ...(modifiedMs === 0 ? {} : { writtenAt: modifiedMs }),
      };
    }
  }

  async remove(name: string): Promise<void> {
    checkName(name);
    await this.#objects.remove(this.#prefix + name);
  }

  /** What a name may be cached for follows from how it is written: only timestamp.json is ever replaced. */
  #put(
    name: string,
    bytes: Uint8Array,
    expected: string | undefined,
    cacheControl: string,
  ): Promise<PutResult> {
    const contentType = name.endsWith('.json') ? 'application/json' : 'application/octet-stream';
    return this.#objects.put(this.#prefix + name, bytes, { expected, contentType, cacheControl });
  }
}

/** What stands before every name of the store in the bucket. */
export function keyPrefix({ prefix }: S3Location): string {
  return prefix === '' ? '' : `${prefix}/`;
}
