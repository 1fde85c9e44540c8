// Which target paths may be published (interop rule 5): those that every known client finds under the same name.
import { CountersignError } from '../lib/errors.ts';

/** Characters; keeps one entry small beside a 5,000,000-byte bin, and file names below common limits. */
export const MAX_TARGET_PATH_LENGTH = 1024;

/**
 * Segments. `targets` delegates to `bins` with one pattern for each depth, because `*` never matches a slash (interop
 * rule 6): a deeper path would be signed and yet found by no client.
 */
export const MAX_TARGET_DEPTH = 32;

// Ordinary letters and digits, and the punctuation that survives URLs, stores and every client's quoting.
const ALLOWED = /^[A-Za-z0-9._~!@+/-]+$/;

/** Own and inherited property names of JavaScript's Object: they fail in tuf-js (interop rules 5 and 16). */
const OBJECT_PROPERTIES = new Set(Object.getOwnPropertyNames(Object.prototype));

/** What nearly every path is: segments of those characters that do not begin with a period. */
const ORDINARY = /^[A-Za-z0-9_~!@+-][A-Za-z0-9._~!@+-]*(?:\/[A-Za-z0-9_~!@+-][A-Za-z0-9._~!@+-]*){0,31}$/;

/** A segment that may be one of those names, or one of them with something behind it. */
const MAYBE_PROPERTY = new RegExp(`(?:^|/)(?:${[...OBJECT_PROPERTIES].join('|')})`);

/** Why `path` may not be published, or undefined when it may. */
export function targetPathProblem(path: string): string | undefined {
  // Told by two expressions, in half the time: back-signing asks sixteen million times.
  if (path.length <= MAX_TARGET_PATH_LENGTH && ORDINARY.test(path) && !MAYBE_PROPERTY.test(path)) {
    return undefined;
  }
  if (path === '') return 'is empty';
  if (path.length > MAX_TARGET_PATH_LENGTH) {
    return `has ${path.length} characters, at most ${MAX_TARGET_PATH_LENGTH} are allowed`;
  }
  if (!ALLOWED.test(path)) {
    const bad = Array.from(path).find((character) => !ALLOWED.test(character)) ?? '';
    return `has the character ${JSON.stringify(bad)}; allowed are A-Z a-z 0-9 . _ ~ ! @ + - /`;
  }
  if (path.startsWith('/')) return 'starts with "/"';
  if (path.endsWith('/')) return 'ends with "/"';
  const segments = path.split('/');
  if (segments.length > MAX_TARGET_DEPTH) {
    return `has ${segments.length} segments, at most ${MAX_TARGET_DEPTH} are allowed`;
  }
  for (const segment of segments) {
    if (segment === '') return 'has an empty segment ("//")';
    if (segment === '.' || segment === '..') return `has the segment "${segment}"`;
    // tuf-js: "*" does not match a component that starts with a period, so a paths pattern would miss it.
    if (segment.startsWith('.')) return `has the segment "${segment}", which starts with "."`;
    if (OBJECT_PROPERTIES.has(segment))
      return `has the segment "${segment}", a property name of JavaScript objects`;
  }
  return undefined;
}

/**
 * Checks a target path.
 * @throws CountersignError `path-forbidden` that names the path and the rule.
 */
export function checkTargetPath(path: string): void {
  const problem = targetPathProblem(path);
  if (problem !== undefined) {
    throw new CountersignError(
      'path-forbidden',
      `target path ${JSON.stringify(path.slice(0, 200))} ${problem}`,
    );
  }
}
