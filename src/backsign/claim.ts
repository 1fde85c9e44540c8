// What a line of a list claims about a file, and the entry that it becomes, or the reason why it does not. The same
// rules as for upload events (src/http/event-schema.ts): what is refused there is refused here.
import { hasCode } from '../lib/errors.ts';
import { canonicalJson, type Canonicalizable } from '../tuf/canonical-json.ts';
import { targetPathProblem } from '../tuf/target-path.ts';

/** As it stands in the list, unchecked. */
export interface Claim {
  readonly path: unknown;
  readonly length: unknown;
  readonly sha256: unknown;
  readonly custom?: Canonicalizable | undefined;
}

export interface Entry {
  readonly path: string;
  /** `"PATH":{["custom":C,]"hashes":{"sha256":H},"length":L}`: canonical JSON. */
  readonly text: string;
}

/** As for events: custom data is repeated to every client that reads the bin. */
const MAX_CUSTOM_BYTES = 4096;

const SHA256 = /^[0-9a-f]{64}$/;

/** The entry of a claim, or what is wrong with it. */
export function entryOfClaim({ path, length, sha256, custom }: Claim, prefix: string): Entry | string {
  if (typeof path !== 'string') return path === undefined ? 'has no path' : 'has a path that is not text';
  const target = prefix + path;
  const problem = targetPathProblem(target);
  if (problem !== undefined) return `target path ${quoted(target)} ${problem}`;
  const bytes = typeof length === 'string' && /^[0-9]{1,16}$/.test(length) ? Number(length) : length;
  // interop rule 13: at least 1, exact in every language.
  if (!Number.isSafeInteger(bytes) || (bytes as number) < 1) {
    return length === undefined
      ? 'has no length'
      : `length ${quoted(length)} is not a whole number from 1 to 2^53-1`;
  }
  if (typeof sha256 !== 'string' || !SHA256.test(sha256)) {
    return sha256 === undefined
      ? 'has no sha256'
      : `sha256 ${quoted(sha256)} is not 64 lower-case hex digits`;
  }
  if (custom === undefined) {
    return {
      path: target,
      text: `"${target}":{"hashes":{"sha256":"${sha256}"},"length":${bytes as number}}`,
    };
  }
  const json = customJson(custom);
  if (!json.startsWith('{')) return json;
  return {
    path: target,
    text: `"${target}":{"custom":${json},"hashes":{"sha256":"${sha256}"},"length":${bytes as number}}`,
  };
}

/** Canonical JSON of custom data, or what is wrong with them. */
function customJson(custom: Canonicalizable): string {
  if (custom === null || typeof custom !== 'object' || Array.isArray(custom))
    return 'has custom data that are no object';
  try {
    const json = canonicalJson(custom);
    // Canonical JSON writes them unescaped, and a bin's file is its canonical bytes: no client could parse it.
    if (/[\u0000-\u001f]/.test(json)) return 'has a control character in its custom data';
    if (json.includes('"__proto__":')) return 'has the key "__proto__" in its custom data';
    const bytes = Buffer.byteLength(json);
    if (bytes <= MAX_CUSTOM_BYTES) return json;
    return `has ${bytes} bytes of custom data, at most ${MAX_CUSTOM_BYTES} are allowed`;
  } catch (error) {
    if (hasCode(error, 'metadata-invalid')) return `has custom data without canonical JSON: ${error.message}`;
    throw error;
  }
}

/** A value for a message: whole when it is an ordinary path, short whatever it is. */
export function quoted(value: unknown): string {
  const text = JSON.stringify(value);
  return text.length <= 240 ? text : `${text.slice(0, 239)}…`;
}
