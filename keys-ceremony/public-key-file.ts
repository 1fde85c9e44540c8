// Public keys as files: what a holder hands over, and what the service prints about its online key.
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { METADATA_DEPTH, parseStrictJson, type JsonMap } from '../src/tuf/json.ts';
import { parsePublicKey } from '../src/tuf/keys.ts';
import type { PublicKey } from '../src/tuf/metadata.ts';
import { KEY_ID, readKeys } from '../src/tuf/parse-keys.ts';
import { asMap, asString, field, onlyFields } from '../src/tuf/shape.ts';
import { MAX_BYTES } from './ceremony-folder.ts';
import { PLAN_NAME } from './plan.ts';

export const PUBLIC_KEY_FORMAT = 'countersign-public-key/1';

/** The public half of a key and its id. */
export interface PublicPart {
  readonly keyid: string;
  readonly key: PublicKey;
}

/** A holder's public key. */
export interface HolderPublicKey extends PublicPart {
  readonly name: string;
  readonly made: 'file' | 'token';
  /** Of the token. */
  readonly serial?: string;
}

/** Printable ASCII, as tokens give it. */
const SERIAL = /^[\x21-\x7e](?:[\x20-\x7e]{0,62}[\x21-\x7e])?$/;

/**
 * Reads a holder's public key; `where` names the file in messages.
 * @throws CountersignError `ceremony-file-invalid`.
 */
export function parseHolderPublicKey(bytes: Uint8Array, where: string): HolderPublicKey {
  return readFile(bytes, where, (map) => {
    onlyFields(map, where, ['format', 'name', 'keyid', 'key', 'made', 'serial']);
    asString(field(map, where, 'format'), new RegExp(`^${PUBLIC_KEY_FORMAT}$`));
    const made = asString(field(map, where, 'made'), /^(?:file|token)$/);
    const serial = field(map, where, 'serial');
    return {
      name: asString(field(map, where, 'name'), PLAN_NAME),
      ...readPublicPart(map, where),
      made: made === 'token' ? 'token' : 'file',
      ...(serial.value === undefined ? {} : { serial: asString(serial, SERIAL) }),
    };
  });
}

/**
 * Reads the public part of an online key: a file of the form above, or what `countersign key show --json` prints.
 * @throws CountersignError `ceremony-file-invalid`.
 */
export function parseOnlinePublicKey(bytes: Uint8Array, where: string): PublicPart {
  return readFile(bytes, where, (map) => {
    if (map.has('format')) {
      const { keyid, key } = parseHolderPublicKey(bytes, where);
      return { keyid, key };
    }
    // Where the key is: `file`, or `signer` for one in a key service or on a token.
    onlyFields(map, where, ['file', 'signer', 'keyid', 'key']);
    return readPublicPart(map, where);
  });
}

/** The file of a holder's public key. */
export function holderPublicKeyFile({ name, keyid, key, made, serial }: HolderPublicKey): string {
  return `${JSON.stringify({ format: PUBLIC_KEY_FORMAT, name, keyid, key, made, serial }, null, 2)}\n`;
}

function readPublicPart(map: JsonMap, where: string): PublicPart {
  const keyid = asString(field(map, where, 'keyid'), KEY_ID);
  const keys = readKeys({ value: new Map([[keyid, map.get('key') ?? null]]), where: `${where}.key` });
  const key = keys.get(keyid);
  if (key === undefined) throw new CountersignError('internal', `${where} has lost its key`);
  parsePublicKey(key);
  return { keyid, key };
}

function readFile<T>(bytes: Uint8Array, where: string, read: (map: JsonMap) => T): T {
  try {
    const limits = { maxBytes: MAX_BYTES.publicKey, maxDepth: METADATA_DEPTH };
    return read(asMap({ value: parseStrictJson(bytes, limits), where }));
  } catch (cause) {
    if (!(cause instanceof CountersignError) || cause.code === 'ceremony-file-invalid') throw cause;
    const message = messageOf(cause);
    const text = message.startsWith(where) ? message : `${where}: ${message}`;
    throw new CountersignError('ceremony-file-invalid', text, { cause });
  }
}
