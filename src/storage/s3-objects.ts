// Objects of a bucket by their keys: the requests of the S3 store, each repeated as far as that is safe. Knows nothing of
// names and prefixes: s3-store.ts and s3-probe.ts stand on it.
import {
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { addAbortSignal, Readable } from 'node:stream';
import { CountersignError } from '../lib/errors.ts';
import { isAbsent, isRefused, s3Unavailable, statusOf } from './s3-errors.ts';
import { s3Uri } from './s3-location.ts';
import type { Retry } from './s3-retry.ts';

export interface S3Object {
  readonly bytes: Uint8Array;
  readonly etag: string;
}

export interface S3Entry {
  readonly key: string;
  /** Bytes. */
  readonly size: number;
  /** By the server's clock, milliseconds since the epoch. */
  readonly modifiedMs: number;
  /** Empty when the server does not say. */
  readonly etag: string;
}

export interface PutRequest {
  /** Undefined: only if there is no object; otherwise only if it is the one with this ETag. */
  readonly expected: string | undefined;
  readonly contentType: string;
  readonly cacheControl: string;
}

export type PutResult =
  | { readonly written: true; readonly etag: string }
  /** `uncertain`: an earlier attempt of the same call may be the reason why the condition did not hold. */
  | { readonly written: false; readonly uncertain: boolean };

export class S3Objects {
  readonly #client: S3Client;
  readonly #bucket: string;
  readonly #retry: Retry;

  constructor(client: S3Client, bucket: string, retry: Retry) {
    this.#client = client;
    this.#bucket = bucket;
    this.#retry = retry;
  }

  /** @throws CountersignError `metadata-too-large`: no more than `maxBytes` are read; `store-unavailable`. */
  async get(key: string, maxBytes: number): Promise<S3Object | undefined> {
    const read = async (abortSignal: AbortSignal): Promise<S3Object | undefined> => {
      const command = new GetObjectCommand({ Bucket: this.#bucket, Key: key });
      const answer = await this.#client.send(command, { abortSignal }).catch((error: unknown) => {
        if (isAbsent(error)) return undefined;
        throw error;
      });
      if (answer === undefined) return undefined;
      const { Body: body, ContentLength: length } = answer;
      if (!(body instanceof Readable)) throw new Error('the answer has no body');
      // The SDK's own limit ends with the headers.
      const bytes = await readCapped(addAbortSignal(abortSignal, body), length, maxBytes, this.#uri(key));
      return { bytes, etag: etagOf(answer) };
    };
    return (await this.#try('read', key, read)).value;
  }

  /** @throws CountersignError `store-unavailable`: the object may have been written. */
  async put(key: string, bytes: Uint8Array, request: PutRequest): Promise<PutResult> {
    const { expected, contentType, cacheControl } = request;
    const write = async (abortSignal: AbortSignal): Promise<string | undefined> => {
      const command = new PutObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        Body: bytes,
        ContentType: contentType,
        CacheControl: cacheControl,
        ...(expected === undefined ? { IfNoneMatch: '*' } : { IfMatch: expected }),
      });
      try {
        return etagOf(await this.#client.send(command, { abortSignal }));
      } catch (error) {
        // Amazon's answer to If-Match on an object that does not exist is 404, that of others 412.
        if (isRefused(error) || (expected !== undefined && isAbsent(error))) return undefined;
        throw error;
      }
    };
    const { value: etag, uncertain } = await this.#try('write', key, write);
    return etag === undefined ? { written: false, uncertain } : { written: true, etag };
  }

  /** Bytes of an object, or undefined when there is none. @throws CountersignError `store-unavailable`. */
  async size(key: string): Promise<number | undefined> {
    const look = async (abortSignal: AbortSignal): Promise<number | undefined> => {
      const command = new HeadObjectCommand({ Bucket: this.#bucket, Key: key });
      try {
        return (await this.#client.send(command, { abortSignal })).ContentLength ?? 0;
      } catch (error) {
        // An answer to HEAD has no body to name the error: a bare 404 is all that a server can say. Taken for absent, the
        // object is written, and a bucket that does not exist says so then.
        if (statusOf(error) === 404) return undefined;
        throw error;
      }
    };
    return (await this.#try('look at', key, look)).value;
  }

  /**
   * The body of an object as it comes: cut off or silent for too long (`silenceMs`), it ends in an error and is not asked
   * for again.
   * @throws CountersignError `not-found`, `store-unavailable`.
   */
  async open(key: string): Promise<AsyncIterable<Uint8Array>> {
    const ask = async (): Promise<Readable | undefined> => {
      const command = new GetObjectCommand({ Bucket: this.#bucket, Key: key });
      try {
        const { Body: body } = await this.#client.send(command);
        if (!(body instanceof Readable)) throw new Error('the answer has no body');
        return body;
      } catch (error) {
        if (isAbsent(error)) return undefined;
        throw error;
      }
    };
    const body = (await this.#try('read', key, ask)).value;
    if (body === undefined) throw new CountersignError('not-found', `${this.#uri(key)} does not exist`);
    return body as AsyncIterable<Uint8Array>;
  }

  /** Writes an object, whatever is there, from a file. @throws CountersignError `store-unavailable`. */
  async putFile(key: string, file: string, request: Omit<PutRequest, 'expected'>): Promise<void> {
    const { size } = await stat(file);
    await this.#try('write', key, async (abortSignal) => {
      const body = createReadStream(file);
      // A file that cannot be read lets the request fall silent, which ends it; unheard, its error would end the process.
      body.on('error', () => undefined);
      const command = new PutObjectCommand({
        Bucket: this.#bucket,
        Key: key,
        Body: body,
        ContentLength: size,
        ContentType: request.contentType,
        CacheControl: request.cacheControl,
      });
      try {
        await this.#client.send(command, { abortSignal });
      } finally {
        // Of a request that failed the SDK leaves it open, and the disk would keep the file after it was removed.
        body.destroy();
      }
    });
  }

  /** @throws CountersignError `store-unavailable`. */
  async remove(key: string): Promise<void> {
    await this.#try('remove', key, async (abortSignal) => {
      const command = new DeleteObjectCommand({ Bucket: this.#bucket, Key: key });
      await this.#client.send(command, { abortSignal }).catch((error: unknown) => {
        if (!isAbsent(error)) throw error;
      });
    });
  }

  /** One page of 1,000 in memory at a time. @throws CountersignError `store-unavailable`. */
  async *list(prefix: string): AsyncGenerator<S3Entry> {
    let token: string | undefined;
    do {
      const page = await this.#listPage(prefix, token);
      for (const { Key: key, Size: size, LastModified: modified, ETag: etag } of page.Contents ?? []) {
        if (key?.startsWith(prefix) !== true) continue;
        yield { key, size: size ?? 0, modifiedMs: modified?.getTime() ?? 0, etag: etag ?? '' };
      }
      const next = page.IsTruncated === true ? page.NextContinuationToken : undefined;
      if (page.IsTruncated === true && (next === undefined || next === token)) {
        throw s3Unavailable('list', this.#uri(prefix), new Error('a page says that more follow, not where'));
      }
      token = next;
    } while (token !== undefined);
  }

  async #listPage(prefix: string, token: string | undefined) {
    const list = (abortSignal: AbortSignal) =>
      this.#client.send(
        new ListObjectsV2Command({
          Bucket: this.#bucket,
          Prefix: prefix,
          ...(token === undefined ? {} : { ContinuationToken: token }),
        }),
        { abortSignal },
      );
    return (await this.#try('list', prefix, list)).value;
  }

  async #try<T>(action: string, key: string, attempt: (signal: AbortSignal) => Promise<T>) {
    try {
      return await this.#retry.run(attempt);
    } catch (error) {
      throw s3Unavailable(action, this.#uri(key), error);
    }
  }

  #uri(key: string): string {
    return s3Uri({ bucket: this.#bucket }, key);
  }
}

function etagOf({ ETag: etag }: { readonly ETag?: string | undefined }): string {
  if (etag === undefined || etag === '') throw new Error('the answer has no ETag');
  return etag;
}

/** Leaving the loop early destroys the stream, and its connection with it. */
async function readCapped(
  body: Readable,
  length: number | undefined,
  maxBytes: number,
  uri: string,
): Promise<Uint8Array> {
  const tooLarge = (size: string): CountersignError =>
    new CountersignError('metadata-too-large', `${uri} has ${size} bytes, at most ${maxBytes}`);
  if (length !== undefined && length > maxBytes) {
    body.destroy();
    throw tooLarge(String(length));
  }
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw tooLarge('more');
    chunks.push(chunk);
  }
  if (length !== undefined && size !== length) throw new Error(`${size} of ${length} bytes arrived`);
  return Buffer.concat(chunks, size);
}
