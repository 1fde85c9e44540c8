// Keys and signatures of repositories that tests make up: correctly signed, whatever is said in them.
import { generateKeyPairSync, sign, type KeyObject } from 'node:crypto';
import { sha256Hex } from '../../../src/lib/bytes.ts';
import { canonicalBytes, type Canonicalizable } from '../../../src/tuf/canonical-json.ts';

export type Fields = Record<string, Canonicalizable>;

export interface TestKey {
  readonly id: string;
  readonly public: Fields;
  readonly secret: KeyObject;
}

/** An Ed25519 key; `id` instead of the one that follows from it. */
export function makeKey(id?: string): TestKey {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  const hex = publicKey.export({ type: 'spki', format: 'der' }).subarray(-32).toString('hex');
  const fields = { keytype: 'ed25519', scheme: 'ed25519', keyval: { public: hex } };
  return { id: id ?? sha256Hex(canonicalBytes(fields)), public: fields, secret: privateKey };
}

/** TUF 4.1: `YYYY-MM-DDTHH:MM:SSZ`. */
export function isoTime(ms: number): string {
  return `${new Date(ms).toISOString().slice(0, 19)}Z`;
}

/** The `signatures` over the canonical form of `signed`. */
export function signatures(signed: Fields, keys: readonly TestKey[]): { keyid: string; sig: string }[] {
  const message = canonicalBytes(signed);
  return keys.map(({ id, secret }) => ({ keyid: id, sig: sign(null, message, secret).toString('hex') }));
}

/** The `keys` of a root or of a delegation. */
export function keyTable(keys: readonly TestKey[]): Fields {
  return Object.fromEntries(keys.map((key) => [key.id, key.public]));
}
