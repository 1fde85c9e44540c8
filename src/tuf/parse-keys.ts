// Public keys and the roles that name them, as they stand in root and in delegations. No field beyond the known ones:
// tough recomputes key ids over all fields, and drops what it does not know (interop rule 3).
import { CountersignError } from '../lib/errors.ts';
import { keyId } from './keys.ts';
import type { JsonMap } from './json.ts';
import type { PublicKey, RoleKeys } from './metadata.ts';
import {
  asInteger,
  asList,
  asMap,
  asString,
  distinct,
  field,
  onlyFields,
  unexpected,
  type Place,
} from './shape.ts';

export const KEY_ID = /^[0-9a-f]{64}$/;

const SCHEMES: Readonly<Record<PublicKey['keytype'], readonly PublicKey['scheme'][]>> = {
  ed25519: ['ed25519'],
  // P-384 is not of every client: a ceremony names it only where its plan allows it.
  ecdsa: ['ecdsa-sha2-nistp256', 'ecdsa-sha2-nistp384'],
  rsa: ['rsassa-pss-sha256'],
};

/** The `keys` of root or of delegations, by key id; each id is the hash of its key. */
export function readKeys(place: Place): ReadonlyMap<string, PublicKey> {
  const keys = new Map<string, PublicKey>();
  for (const [keyid, value] of asMap(place)) {
    const where = `${place.where}.${keyid.slice(0, 64)}`;
    const key = readKey({ value, where });
    const computed = keyId(key);
    if (computed !== keyid) {
      throw new CountersignError('metadata-invalid', `${where} is a key with the key id ${computed}`);
    }
    keys.set(keyid, key);
  }
  return keys;
}

function readKey(place: Place): PublicKey {
  const { where } = place;
  const map = asMap(place);
  onlyFields(map, where, ['keytype', 'scheme', 'keyval']);
  const keytype = asString(field(map, where, 'keytype'));
  if (!isKeyType(keytype)) throw unexpected(field(map, where, 'keytype'), Object.keys(SCHEMES).join(', '));
  const scheme = SCHEMES[keytype].find((known) => known === map.get('scheme'));
  if (scheme === undefined) {
    const wanted = SCHEMES[keytype].map((known) => `"${known}"`).join(' or ');
    throw unexpected(field(map, where, 'scheme'), `${wanted} for ${keytype}`);
  }
  const keyval = asMap(field(map, where, 'keyval'));
  onlyFields(keyval, `${where}.keyval`, ['public']);
  return { keytype, scheme, keyval: { public: asString(field(keyval, `${where}.keyval`, 'public')) } };
}

function isKeyType(text: string): text is PublicKey['keytype'] {
  return Object.hasOwn(SCHEMES, text);
}

/** `keyids` and `threshold`: distinct ids of known keys, and enough of them to reach the threshold. */
export function readRoleKeys(map: JsonMap, where: string, keys: ReadonlyMap<string, PublicKey>): RoleKeys {
  const list = field(map, where, 'keyids');
  const keyids = asList(list).map((value, index) =>
    asString({ value, where: `${list.where}[${index}]` }, KEY_ID),
  );
  distinct(keyids, list.where);
  for (const keyid of keyids) {
    if (!keys.has(keyid)) {
      throw new CountersignError(
        'metadata-invalid',
        `${list.where} has ${keyid}, which is not among the keys`,
      );
    }
  }
  const threshold = asInteger(field(map, where, 'threshold'), 1);
  if (threshold > keyids.length) {
    throw new CountersignError(
      'metadata-invalid',
      `${where}.threshold is ${threshold}, but the role has only ${keyids.length} keys`,
    );
  }
  return { keyids, threshold };
}
