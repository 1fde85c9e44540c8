// Making a key on a token: it is born there and cannot leave.
import type { Attribute, Handle, KeyPair, Mechanism, PKCS11 } from 'pkcs11js';
import { sha256Hex } from '../../lib/bytes.ts';
import { CountersignError } from '../../lib/errors.ts';
import { parseKeyUri, type KeyUri } from '../../lib/pkcs11-uri.ts';
import { keyId } from '../../tuf/keys.ts';
import type { PublicKey } from '../../tuf/metadata.ts';
import { closeSession } from './connection.ts';
import { ED25519_PARAMS, P256_PARAMS, type TokenAlgorithm } from './der.ts';
import { tokenCode, tokenUnavailable } from './failures.ts';
import { login } from './login.ts';
import { acquireModule } from './module.ts';
import { CKA, CKO, findObjects, readAttribute, readKey } from './objects.ts';
import { findToken } from './tokens.ts';

export interface GeneratedTokenKey {
  readonly keyid: string;
  readonly publicKey: PublicKey;
  /** Label of the key. */
  readonly label: string;
  /** CKA_ID, lower-case hex. */
  readonly id: string;
  /** Serial number of the token. */
  readonly serial: string;
}

const SERIAL_AND_WRITABLE = 4 | 2;

const CKM_EC_EDWARDS_KEY_PAIR_GEN = 0x1055;
const CKM_EC_KEY_PAIR_GEN = 0x1040;

/** How a token says that it spells the curve in another way. */
const OTHER_SPELLING =
  /^CKR_(ATTRIBUTE_VALUE_INVALID|CURVE_NOT_SUPPORTED|DOMAIN_PARAMS_INVALID|TEMPLATE_INCONSISTENT|GENERAL_ERROR|FUNCTION_FAILED)$/;

/**
 * Makes a key pair with the label `object` and the `id` of the URI (by default derived from the label).
 * @throws CountersignError `file-exists` when the token has an object with this label or this id already,
 *   `config-invalid`, `secret-unreadable`, `signer-unavailable`.
 */
export async function generateTokenKey(
  uri: string,
  pin: string,
  algorithm: TokenAlgorithm,
): Promise<GeneratedTokenKey> {
  const wanted = parseKeyUri(uri);
  const { object } = wanted;
  if (object === undefined) {
    throw new CountersignError('config-invalid', 'the PKCS#11 URI has no object=, the label of the new key');
  }
  const id = wanted.id ?? Buffer.from(sha256Hex(object).slice(0, 16), 'hex');
  const module = await acquireModule(wanted.modulePath);
  try {
    const token = findToken(module, wanted);
    const { api } = module;
    if (!token.info.algorithms.includes(algorithm)) {
      const offers = token.info.algorithms.join(', ');
      throw new CountersignError(
        'config-invalid',
        `token "${token.info.label}" does not sign with ${algorithm}; it offers ${offers === '' ? 'neither kind of key' : offers}`,
      );
    }
    const session = api.C_OpenSession(token.slot, SERIAL_AND_WRITABLE);
    try {
      login(module, session, token, pin, false);
      refuseExisting(api, session, object, id);
      const pair = await generate(api, session, algorithm, object, id);
      const publicKey = proveLocked(api, session, { ...wanted, object, id }, pair);
      const { serial } = token.info;
      return { keyid: keyId(publicKey), publicKey, label: object, id: id.toString('hex'), serial };
    } finally {
      closeSession(module, session);
    }
  } catch (error) {
    throw tokenUnavailable(`no key was made in ${wanted.modulePath}`, error);
  } finally {
    module.release();
  }
}

function refuseExisting(api: PKCS11, session: Handle, object: string, id: Buffer): void {
  for (const objectClass of [CKO.privateKey, CKO.publicKey]) {
    for (const [name, by] of [
      [`label "${object}"`, { object }],
      [`id ${id.toString('hex')}`, { id }],
    ] as const) {
      if (findObjects(api, session, objectClass, by).length === 0) continue;
      throw new CountersignError(
        'file-exists',
        `the token has a key with ${name} already; it is not replaced`,
      );
    }
  }
}

async function generate(
  api: PKCS11,
  session: Handle,
  algorithm: TokenAlgorithm,
  label: string,
  id: Buffer,
): Promise<KeyPair> {
  const mechanism: Mechanism = {
    mechanism: algorithm === 'ed25519' ? CKM_EC_EDWARDS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN,
  };
  const spellings = algorithm === 'ed25519' ? ED25519_PARAMS : [P256_PARAMS];
  const name: Attribute[] = [
    { type: CKA.token, value: true },
    { type: CKA.label, value: Buffer.from(label, 'utf8') },
    { type: CKA.id, value: id },
  ];
  const secret: Attribute[] = [
    ...name,
    { type: CKA.private, value: true },
    { type: CKA.sensitive, value: true },
    { type: CKA.extractable, value: false },
    { type: CKA.sign, value: true },
    { type: CKA.decrypt, value: false },
    { type: CKA.unwrap, value: false },
    { type: CKA.derive, value: false },
  ];
  let refusal: unknown;
  for (const params of spellings) {
    const open: Attribute[] = [
      ...name,
      { type: CKA.private, value: false },
      { type: CKA.verify, value: true },
      { type: CKA.ecParams, value: params },
    ];
    try {
      return await api.C_GenerateKeyPairAsync(session, mechanism, open, secret);
    } catch (error) {
      if (!OTHER_SPELLING.test(tokenCode(error) ?? '')) throw error;
      refusal = error;
    }
  }
  throw refusal;
}

/** A token may take a template and do something else: a key that could leave it is destroyed at once. */
function proveLocked(api: PKCS11, session: Handle, uri: KeyUri, pair: KeyPair): PublicKey {
  const isSet = (type: number): boolean => readAttribute(api, session, pair.privateKey, type)?.[0] === 1;
  if (isSet(CKA.sensitive) && !isSet(CKA.extractable))
    return readKey(api, session, uri, pair.privateKey).publicKey;
  for (const object of [pair.privateKey, pair.publicKey]) api.C_DestroyObject(session, object);
  throw new CountersignError(
    'signer-unavailable',
    'the token made a key that could be read from it (CKA_SENSITIVE, CKA_EXTRACTABLE); it was destroyed',
  );
}
