// The objects of one key on a token: its private key by the URI, and the public key that belongs to it.
import type { Attribute, Handle, PKCS11 } from 'pkcs11js';
import { CountersignError } from '../../lib/errors.ts';
import type { KeyUri } from '../../lib/pkcs11-uri.ts';
import type { PublicKey } from '../../tuf/metadata.ts';
import { algorithmOf, publicKeyOfPoint, type TokenAlgorithm } from './der.ts';

/** Attribute types (PKCS#11 2.40, appendix B). */
export const CKA = {
  class: 0x0,
  token: 0x1,
  private: 0x2,
  label: 0x3,
  keyType: 0x100,
  id: 0x102,
  sensitive: 0x103,
  decrypt: 0x105,
  unwrap: 0x107,
  sign: 0x108,
  verify: 0x10a,
  derive: 0x10c,
  extractable: 0x162,
  ecParams: 0x180,
  ecPoint: 0x181,
  alwaysAuthenticate: 0x202,
} as const;

export const CKO = { publicKey: 2, privateKey: 3 } as const;

/** More are not looked at: one is expected. */
const MAX_FOUND = 16;

export interface KeyOnToken {
  readonly label: string;
  readonly id: Buffer;
  readonly algorithm: TokenAlgorithm;
  readonly publicKey: PublicKey;
  /** The token asks for the PIN before each signature. */
  readonly alwaysAuthenticate: boolean;
}

/** Handles of the objects of a class that the URI's `object` and `id` name. */
export function findObjects(
  api: PKCS11,
  session: Handle,
  objectClass: number,
  { object, id }: { readonly object?: string; readonly id?: Buffer },
): Handle[] {
  const template: Attribute[] = [
    { type: CKA.class, value: objectClass },
    { type: CKA.token, value: true },
  ];
  if (object !== undefined) template.push({ type: CKA.label, value: Buffer.from(object, 'utf8') });
  if (id !== undefined) template.push({ type: CKA.id, value: id });
  api.C_FindObjectsInit(session, template);
  try {
    return api.C_FindObjects(session, MAX_FOUND);
  } finally {
    api.C_FindObjectsFinal(session);
  }
}

/**
 * The private key that `uri` names; handles are looked up anew in each session.
 * @throws CountersignError `config-invalid` when there is none, or more than one.
 */
export function findPrivateKey(api: PKCS11, session: Handle, uri: KeyUri): Handle {
  const [key, ...others] = findObjects(api, session, CKO.privateKey, uri);
  if (key === undefined) throw new CountersignError('config-invalid', `the token has no ${describeKey(uri)}`);
  if (others.length > 0) {
    throw new CountersignError(
      'config-invalid',
      `the token has ${others.length + 1} times ${describeKey(uri)}: give both object= and id=`,
    );
  }
  return key;
}

/**
 * What the token says about a key.
 * @throws CountersignError `config-invalid` when no client could verify its signatures, or its public key is not there.
 */
export function readKey(api: PKCS11, session: Handle, uri: KeyUri, key: Handle): KeyOnToken {
  const attribute = (type: number, of: Handle = key): Buffer | undefined =>
    readAttribute(api, session, of, type);
  const label = attribute(CKA.label)?.toString('utf8') ?? '';
  const id = attribute(CKA.id) ?? Buffer.alloc(0);
  const pairs =
    id.length > 0
      ? findObjects(api, session, CKO.publicKey, { id })
      : findObjects(api, session, CKO.publicKey, { object: label });
  const sources = [...pairs, key];
  const params = sources.map((of) => attribute(CKA.ecParams, of)).find((value) => value !== undefined);
  const point = sources.map((of) => attribute(CKA.ecPoint, of)).find((value) => value !== undefined);
  const algorithm = params === undefined ? undefined : algorithmOf(params);
  if (algorithm === undefined) {
    const found = params === undefined ? 'no curve' : `the curve ${params.toString('hex')}`;
    throw new CountersignError(
      'config-invalid',
      `${describeKey(uri)} has ${found}, expected Ed25519 or P-256`,
    );
  }
  if (point === undefined) {
    throw new CountersignError(
      'config-invalid',
      `the token has ${describeKey(uri)} but no public key with the same id: import it beside the private key`,
    );
  }
  const publicKey = publicKeyOfPoint(algorithm, point);
  const alwaysAuthenticate = attribute(CKA.alwaysAuthenticate)?.[0] === 1;
  return { label, id, algorithm, publicKey, alwaysAuthenticate };
}

/** The value of an attribute, or undefined when the object has none or does not tell it. */
export function readAttribute(api: PKCS11, session: Handle, key: Handle, type: number): Buffer | undefined {
  try {
    const [result] = api.C_GetAttributeValue(session, key, [{ type }]);
    return result === undefined || result.value.length === 0 ? undefined : result.value;
  } catch (error) {
    if (error instanceof Error && /CKR_ATTRIBUTE_(TYPE_INVALID|SENSITIVE)/.test(error.message))
      return undefined;
    throw error;
  }
}

export function describeKey({ object, id }: Pick<KeyUri, 'object' | 'id'>): string {
  const name = object === undefined ? '' : ` "${object}"`;
  return `private key${name}${id === undefined ? '' : ` with id ${id.toString('hex')}`}`;
}
