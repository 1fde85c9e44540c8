// Taking parsed JSON apart with one voice: every refusal names the role, the place inside it, what stands there and
// what was expected. Unknown fields are refused wherever another client would drop them and so compute other bytes
// (interop rule 3).
import { CountersignError } from '../lib/errors.ts';
import { parseExpires } from './lifetimes.ts';
import type { JsonMap, JsonValue } from './json.ts';

/** A value and the place where it stands, such as `root: roles.snapshot.threshold`. */
export interface Place {
  readonly value: JsonValue | undefined;
  readonly where: string;
}

export function unexpected({ value, where }: Place, wanted: string): CountersignError {
  return new CountersignError('metadata-invalid', `${where} is ${describe(value)}, expected ${wanted}`);
}

export function asMap(place: Place): JsonMap {
  if (place.value instanceof Map) return place.value as JsonMap;
  throw unexpected(place, 'an object');
}

export function asList(place: Place): readonly JsonValue[] {
  if (Array.isArray(place.value)) return place.value as readonly JsonValue[];
  throw unexpected(place, 'a list');
}

export function asString(place: Place, pattern?: RegExp): string {
  const { value } = place;
  if (typeof value !== 'string') throw unexpected(place, 'a string');
  if (pattern !== undefined && !pattern.test(value))
    throw unexpected(place, `a string like ${pattern.source}`);
  return value;
}

/** An integer of at least `least`. */
export function asInteger(place: Place, least: number): number {
  if (typeof place.value === 'number' && place.value >= least) return place.value;
  throw unexpected(place, `an integer of at least ${least}`);
}

export function asBoolean(place: Place): boolean {
  if (typeof place.value === 'boolean') return place.value;
  throw unexpected(place, 'true or false');
}

/** An `expires` text of the one form that every client reads alike (interop rule 2). */
export function asExpires(place: Place): string {
  const text = asString(place);
  try {
    parseExpires(text);
  } catch (cause) {
    throw new CountersignError(
      'metadata-invalid',
      `${place.where} is ${describe(text)}, expected a date of the form YYYY-MM-DDTHH:MM:SSZ`,
      { cause },
    );
  }
  return text;
}

/** TUF 4.3: "spec_version … semantic versioning"; clients accept their own major version. */
export function asSpecVersion(place: Place): string {
  return asString(place, /^1\.\d{1,4}\.\d{1,4}$/);
}

/** The field `name` of an object. */
export function field(map: JsonMap, where: string, name: string): Place {
  return { value: map.get(name), where: `${where}.${name}` };
}

/** Refuses every field of an object but those in `allowed`; the readers of the fields notice a missing one. */
export function onlyFields(map: JsonMap, where: string, allowed: readonly string[]): void {
  for (const name of map.keys()) {
    if (!allowed.includes(name)) {
      throw new CountersignError(
        'metadata-invalid',
        `${where} has the unknown field ${describe(name)}, expected only ${allowed.join(', ')}`,
      );
    }
  }
}

/** A list without repetitions. */
export function distinct<T extends string>(items: readonly T[], where: string): readonly T[] {
  const seen = new Set<string>();
  for (const item of items) {
    if (seen.has(item)) {
      throw new CountersignError('metadata-invalid', `${where} has ${describe(item)} twice`);
    }
    seen.add(item);
  }
  return items;
}

function describe(value: JsonValue | undefined): string {
  if (value === undefined) return 'absent';
  if (value instanceof Map) return 'an object';
  if (Array.isArray(value)) return 'a list';
  const text = JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
