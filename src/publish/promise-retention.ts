// Publishes metadata/retention.json: how long what a snapshot names stays readable after it was superseded (ADR 21). The
// publisher does it, and a mirror for its own copy.
import { equalBytes } from '../lib/bytes.ts';
import { hasCode } from '../lib/errors.ts';
import type { ObjectStore } from '../storage/store.ts';
import { RETENTION_NAME } from '../tuf/layout.ts';
import {
  keptFor,
  MAX_RETENTION_BYTES,
  nextPromise,
  parseRetention,
  renderRetention,
  type RetentionPromise,
} from '../tuf/retention-promise.ts';

/**
 * Promises `retentionMs` from `now` on, and answers for how long things must really be kept: longer for a while when
 * less is promised than before.
 * @throws CountersignError `store-unavailable`; `store-conflict` when another process promises something meanwhile.
 */
export async function promiseRetention(
  store: Pick<ObjectStore, 'get' | 'replace'>,
  retentionMs: number,
  now: number,
): Promise<number> {
  const { object, promise } = await readPromise(store, retentionMs, now);
  const bytes = renderRetention(promise);
  if (object === undefined || !equalBytes(object.bytes, bytes)) {
    await store.replace(RETENTION_NAME, bytes, object?.token);
  }
  return keptFor(promise, now);
}

/** What promiseRetention would answer; nothing is written. */
export async function owedRetention(
  store: Pick<ObjectStore, 'get'>,
  retentionMs: number,
  now: number,
): Promise<number> {
  return keptFor((await readPromise(store, retentionMs, now)).promise, now);
}

async function readPromise(store: Pick<ObjectStore, 'get'>, retentionMs: number, now: number) {
  const object = await store.get(RETENTION_NAME, MAX_RETENTION_BYTES);
  return { object, promise: nextPromise(object && readable(object.bytes), retentionMs, now) };
}

/** Undefined for what says nothing: whoever can write to the store can make it so, and shorten a promise. */
function readable(bytes: Uint8Array): RetentionPromise | undefined {
  try {
    return parseRetention(bytes);
  } catch (error) {
    if (hasCode(error, 'metadata-invalid', 'metadata-too-large')) return undefined;
    throw error;
  }
}
