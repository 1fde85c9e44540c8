// metadata/retention.json: how long metadata stay readable after newer ones have replaced them (ADR 21). Not signed: it
// helps a slow mirror to keep its pace, and nobody's safety rests on it. Whoever lowers the promise goes on keeping the
// former one for as long as somebody may rely on it.
import { CountersignError } from '../lib/errors.ts';
import { formatExpires, parseExpires } from './lifetimes.ts';
import { parseStrictJson } from './json.ts';
import { asInteger, asMap, asString, field } from './shape.ts';

/** Bytes; a promise has some 150. */
export const MAX_RETENTION_BYTES = 4096;

const WHERE = 'retention';

export interface RetentionPromise {
  /** Milliseconds, whole seconds. */
  readonly retentionMs: number;
  /** A longer promise that still has to be kept. */
  readonly former?: { readonly retentionMs: number; readonly untilMs: number };
}

/** @throws CountersignError `metadata-invalid`. Unknown fields are left alone: others may say more. */
export function parseRetention(bytes: Uint8Array): RetentionPromise {
  const map = asMap({
    value: parseStrictJson(bytes, { maxBytes: MAX_RETENTION_BYTES, maxDepth: 4 }),
    where: WHERE,
  });
  const secondsIn = (of: typeof map, where: string): number =>
    asInteger(field(of, where, 'retention_seconds'), 0) * 1000;
  const former = field(map, WHERE, 'former');
  const retentionMs = secondsIn(map, WHERE);
  if (!Number.isSafeInteger(retentionMs)) {
    throw new CountersignError('metadata-invalid', 'retention_seconds is too large');
  }
  if (former.value === undefined) return { retentionMs };
  const fields = asMap(former);
  const untilMs = parseExpires(asString(field(fields, former.where, 'until')));
  return { retentionMs, former: { retentionMs: secondsIn(fields, former.where), untilMs } };
}

export function renderRetention({ retentionMs, former }: RetentionPromise): Uint8Array {
  const promise = {
    retention_seconds: Math.floor(retentionMs / 1000),
    ...(former && {
      former: {
        retention_seconds: Math.floor(former.retentionMs / 1000),
        until: formatExpires(former.untilMs),
      },
    }),
  };
  return Buffer.from(`${JSON.stringify(promise)}\n`);
}

/** What has to be kept at `now`, milliseconds. */
export function keptFor({ retentionMs, former }: RetentionPromise, now: number): number {
  return former !== undefined && now < former.untilMs
    ? Math.max(retentionMs, former.retentionMs)
    : retentionMs;
}

/** The promise of `retentionMs` that follows on `published`. */
export function nextPromise(
  published: RetentionPromise | undefined,
  retentionMs: number,
  now: number,
): RetentionPromise {
  const whole = Math.floor(retentionMs / 1000) * 1000;
  const kept = published === undefined ? 0 : keptFor(published, now);
  if (published === undefined || kept <= whole) return { retentionMs: whole };
  const { former } = published;
  // Raised or lowered meanwhile: what was promised last still holds for its own length from now on.
  if (published.retentionMs > whole) {
    return { retentionMs: whole, former: { retentionMs: kept, untilMs: now + kept } };
  }
  return { retentionMs: whole, ...(former && { former }) };
}
