// payload.json against what this computer makes. It is compared, never used: an exchanged one is refused, and the
// digests inside it only help to say what was exchanged.
import { equalBytes } from '../src/lib/bytes.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { METADATA_DEPTH, parseStrictJson, type JsonMap } from '../src/tuf/json.ts';
import { FILES, MAX_BYTES, readIfPresent } from './ceremony-folder.ts';
import type { Payload } from './payload.ts';

/**
 * Checks that payload.json, if there is one, is to the byte the payload of this folder. False when there is none.
 * @throws CountersignError `ceremony-mismatch` that says which file differs from the one it was built from.
 */
export async function checkPayloadFile(folder: string, payload: Payload): Promise<boolean> {
  const bytes = await readIfPresent(folder, FILES.payload, MAX_BYTES.payload);
  if (bytes === undefined) return false;
  if (equalBytes(bytes, payload.bytes)) return true;
  const { plan, previous, oneTime } = payload.origin;
  const files = [
    ['plan', FILES.plan, plan],
    ['previous', FILES.previous, previous],
    ['oneTime', FILES.oneTime, oneTime],
  ] as const;
  const claimed = claims(bytes);
  const changed = files.find(([name, , now]) => claimed !== undefined && claimed.get(name) !== now);
  throw new CountersignError(
    'ceremony-mismatch',
    changed === undefined
      ? `${FILES.payload} is not what follows from the plan and the keys in this folder: it or a key was exchanged`
      : `${changed[1]} is not the one that ${FILES.payload} was built from: ` +
          `${claimed?.get(changed[0]) ?? 'none'} then, ${changed[2] ?? 'none'} now`,
  );
}

/**
 * @throws CountersignError `ceremony-file-missing` when `build` has not run, `ceremony-mismatch`.
 */
export async function requirePayloadFile(folder: string, payload: Payload): Promise<void> {
  if (await checkPayloadFile(folder, payload)) return;
  throw new CountersignError('ceremony-file-missing', `${FILES.payload} is not there: "build" makes it`);
}

function claims(bytes: Uint8Array): ReadonlyMap<string, string> | undefined {
  try {
    const value = parseStrictJson(bytes, { maxBytes: MAX_BYTES.payload, maxDepth: METADATA_DEPTH });
    if (!(value instanceof Map)) return undefined;
    const entries = [...(value as JsonMap)];
    return new Map(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
  } catch {
    // Not JSON at all: nothing in it helps to explain.
    return undefined;
  }
}
