// Who may sign a role, as its delegator says, and whether enough of them did (TUF 4.2.1, 5.3.4).
import { CountersignError } from '../../lib/errors.ts';
import type { JsonMap } from '../../tuf/json.ts';
import { asInteger, asList, asMap, asString, field, type Place } from '../../tuf/shape.ts';
import { ClientKey } from './client-key.ts';
import { placeOf, type RoleFile } from './role-file.ts';

/** One object for each delegation: what was verified under it needs no second verification. */
export interface RoleTrust {
  readonly keys: ReadonlyMap<string, ClientKey>;
  readonly keyids: ReadonlySet<string>;
  readonly threshold: number;
}

/** The `keys` of root or of delegations. */
export function readClientKeys(place: Place): ReadonlyMap<string, ClientKey> {
  return new Map(
    [...asMap(place)].map(([keyid, value]) => [
      keyid,
      new ClientKey({ value, where: `${place.where}.${keyid.slice(0, 64)}` }),
    ]),
  );
}

/** `keyids` and `threshold` of a role. A threshold that cannot be met is no error: nothing will ever meet it. */
export function readRoleTrust(map: JsonMap, where: string, keys: ReadonlyMap<string, ClientKey>): RoleTrust {
  const list = field(map, where, 'keyids');
  const keyids = new Set(
    asList(list).map((value, index) => asString({ value, where: `${list.where}[${index}]` })),
  );
  return { keys, keyids, threshold: asInteger(field(map, where, 'threshold'), 1) };
}

/**
 * TUF 5.3.4, 5.4.2, 5.5.3, 5.6.3: enough keys of the role signed. Key ids are only names here (they need not be hashes,
 * TAP 12): what counts is how many different keys signed, so one key under two ids counts once.
 * @throws CountersignError `signature-invalid` that names the role and both numbers.
 */
export async function checkThreshold(
  role: string,
  { keys, keyids, threshold }: RoleTrust,
  { signedBytes, signatures }: Pick<RoleFile, 'signedBytes' | 'signatures'>,
): Promise<void> {
  const valid = new Set<string>();
  await Promise.all(
    signatures.map(async ({ keyid, sig }) => {
      const key = keyids.has(keyid) ? keys.get(keyid) : undefined;
      const identity = key?.identity;
      if (identity !== undefined && (await key?.verify(signedBytes, sig)) === true) valid.add(identity);
    }),
  );
  if (valid.size >= threshold) return;
  throw new CountersignError(
    'signature-invalid',
    `role ${placeOf(role)} is signed by ${valid.size} of ${threshold} required keys`,
    { details: { role: placeOf(role), valid: valid.size, threshold } },
  );
}
