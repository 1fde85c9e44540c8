// Shows, before anything is published, that an S3 server does what the publication protocol relies on. A server that
// ignores If-None-Match or If-Match answers 200 to everything: two publishers could then give one version two contents,
// and nobody would notice until clients did. Object stores differ in this, also between their own versions.
import { mapConcurrent } from '../lib/concurrency.ts';
import { equalBytes, utf8 } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import { s3Uri, type S3Location } from './s3-location.ts';
import type { PutResult, S3Objects } from './s3-objects.ts';

const PROBE = '.countersign-probe-';

/**
 * Writers at once: a server that checks and writes in two steps lets more than one of them win. Few, because a server that
 * locks a name may make each further one wait (SeaweedFS: a second).
 */
const RACING = 3;

/** Milliseconds after which another process's probe is over, or was killed. A probe takes seconds. */
const ABANDONED_AFTER_MS = 3_600_000;

/** Largest probe object, bytes. */
const MAX_PROBE_BYTES = 64;

/**
 * Writes, races, reads, lists and removes small objects below the store's prefix.
 * @throws CountersignError `store-unsuitable` that says which promise the server broke; `store-unavailable`.
 */
export async function probeStore(
  objects: S3Objects,
  location: S3Location,
  random: () => number,
): Promise<void> {
  const folder = (location.prefix === '' ? '' : `${location.prefix}/`) + PROBE;
  const probe = new Probe(objects, location, folder + Math.floor(random() * 2 ** 48).toString(16));
  try {
    await probe.absence();
    await probe.creation();
    await probe.replacement();
    await probe.listing(folder);
  } catch (error) {
    // What went wrong before says more than a failing removal.
    await probe.cleanUp().catch(() => undefined);
    throw error;
  }
  await probe.cleanUp();
  await probe.removal();
}

class Probe {
  readonly #objects: S3Objects;
  readonly #location: S3Location;
  /** Written once. */
  readonly #fixed: string;
  /** Replaced. */
  readonly #moving: string;

  constructor(objects: S3Objects, location: S3Location, key: string) {
    this.#objects = objects;
    this.#location = location;
    // With every kind of character that a target path may have (interop rule 5).
    this.#fixed = `${key}/a+b~c!d@e_f-1.0/fixed.json`;
    this.#moving = `${key}/moving.json`;
  }

  async absence(): Promise<void> {
    try {
      await this.#objects.get(this.#fixed, MAX_PROBE_BYTES);
    } catch (error) {
      if (!(error instanceof CountersignError) || error.details['answer'] !== 'AccessDenied') throw error;
      throw this.#unsuitable(
        'it answers 403 for an object that does not exist; clients take a 403 for the next root as a failure: allow s3:ListBucket on the bucket, and check the credentials',
      );
    }
  }

  /** If-None-Match: one of many creates, all others are told, the content stays. */
  async creation(): Promise<void> {
    const contents = Array.from({ length: RACING }, (_, index) => utf8(`fixed ${index}`));
    const won = await this.#race(this.#fixed, contents, undefined, 'If-None-Match');
    const late = await this.#put(this.#fixed, utf8('late'), undefined);
    if (late.written)
      throw this.#unsuitable('it ignores "If-None-Match: *": an existing object was overwritten');
    await this.#expect(
      this.#fixed,
      won.map((index) => contents[index] ?? utf8('')),
    );
  }

  /** If-Match: one of many replaces the version that was read, an old version is refused, an absent one too. */
  async replacement(): Promise<void> {
    const content = utf8('first');
    const first = await this.#put(this.#moving, content, undefined);
    const read = await this.#objects.get(this.#moving, MAX_PROBE_BYTES);
    // An attempt whose answer was lost is why a later one found the name taken: then what is there is ours.
    const isOurs =
      first.written || (first.uncertain && read !== undefined && equalBytes(read.bytes, content));
    if (!isOurs) throw this.#unsuitable(`${this.#moving} exists although nobody has written it`);
    const etag = first.written ? first.etag : (read?.etag ?? '');
    if (read?.etag !== etag) {
      throw this.#unsuitable(
        `it answered a write with ETag ${etag} and the next read with ${read?.etag ?? 'nothing'}`,
      );
    }
    const contents = Array.from({ length: RACING }, (_, index) => utf8(`second ${index}`));
    const won = await this.#race(this.#moving, contents, etag, 'If-Match');
    const late = await this.#put(this.#moving, utf8('late'), etag);
    if (late.written)
      throw this.#unsuitable('it ignores "If-Match": a version that was not read was overwritten');
    await this.#expect(
      this.#moving,
      won.map((index) => contents[index] ?? utf8('')),
    );
    const absent = await this.#put(`${this.#moving}-absent`, utf8('x'), etag);
    if (absent.written) throw this.#unsuitable('it ignores "If-Match" for an object that does not exist');
  }

  /** Finds what was just written; removes what probes that were killed have left behind. */
  async listing(folder: string): Promise<void> {
    const found = new Map<string, number>();
    for await (const { key, modifiedMs } of this.#objects.list(folder)) found.set(key, modifiedMs);
    const own = found.get(this.#fixed);
    if (own === undefined || !found.has(this.#moving)) {
      throw this.#unsuitable('its listing lacks an object that was just written');
    }
    const abandoned = [...found].filter(([, modifiedMs]) => own - modifiedMs > ABANDONED_AFTER_MS);
    await mapConcurrent(abandoned, RACING, ([key]) => this.#objects.remove(key));
  }

  async removal(): Promise<void> {
    for (const key of [this.#fixed, this.#moving]) {
      if ((await this.#objects.get(key, MAX_PROBE_BYTES)) !== undefined) {
        throw this.#unsuitable('an object that was removed can still be read');
      }
    }
  }

  async cleanUp(): Promise<void> {
    const keys = [this.#fixed, this.#moving, `${this.#moving}-absent`];
    await mapConcurrent(keys, keys.length, (key) => this.#objects.remove(key));
  }

  /** Indexes of the contents that may be the object's now; more than one only if an answer was lost. */
  async #race(
    key: string,
    contents: readonly Uint8Array[],
    expected: string | undefined,
    header: string,
  ): Promise<number[]> {
    const results = await mapConcurrent(contents, contents.length, (bytes) =>
      this.#put(key, bytes, expected),
    );
    const indexes = [...results.keys()];
    const written = indexes.filter((index) => results[index]?.written === true);
    if (written.length > 1) {
      throw this.#unsuitable(
        `it let ${written.length} of ${contents.length} writers at once win that all sent "${header}"`,
      );
    }
    if (written.length === 1) return written;
    const unclear = indexes.filter((index) => {
      const result = results[index];
      return result?.written === false && result.uncertain;
    });
    if (unclear.length === 0) {
      throw this.#unsuitable(`it refused all of ${contents.length} writers that sent "${header}"`);
    }
    return unclear;
  }

  async #expect(key: string, contents: readonly Uint8Array[]): Promise<void> {
    const object = await this.#objects.get(key, MAX_PROBE_BYTES);
    if (object !== undefined && contents.some((bytes) => equalBytes(bytes, object.bytes))) return;
    throw this.#unsuitable('it does not give back what was written last');
  }

  async #put(key: string, bytes: Uint8Array, expected: string | undefined): Promise<PutResult> {
    try {
      return await this.#objects.put(key, bytes, {
        expected,
        contentType: 'application/json',
        cacheControl: 'no-store',
      });
    } catch (error) {
      if (!(error instanceof CountersignError) || error.details['status'] !== 501) throw error;
      throw this.#unsuitable('it has no conditional writes (501)');
    }
  }

  #unsuitable(reason: string): CountersignError {
    const store = s3Uri(this.#location, this.#location.prefix);
    return new CountersignError('store-unsuitable', `${store} cannot hold a repository: ${reason}`);
  }
}
