// one-time.json: the public parts of keys that existed for one run of `one-time`, what they signed, and the record that
// they are gone. PEP 458 recommends that the keys of targets and bins are generated, used and destroyed in a ceremony.
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import type { Canonicalizable } from '../src/tuf/canonical-json.ts';
import { readEnvelope, type Envelope } from '../src/tuf/envelope.ts';
import { METADATA_DEPTH, parseStrictJson, type JsonMap } from '../src/tuf/json.ts';
import type { Signature, Targets } from '../src/tuf/metadata.ts';
import { readKeys } from '../src/tuf/parse-keys.ts';
import { BINS, TARGETS } from '../src/tuf/parse-targets.ts';
import { asExpires, asList, asMap, asString, distinct, field, onlyFields } from '../src/tuf/shape.ts';
import { FILES, MAX_BYTES } from './ceremony-folder.ts';
import { canonicalFile, readCanonical } from './payload.ts';
import type { PublicPart } from './public-key-file.ts';

export const ONE_TIME_FORMAT = 'countersign-one-time/1';

export const ONE_TIME_ROLES = ['targets', 'bins'] as const;
export type OneTimeRole = (typeof ONE_TIME_ROLES)[number];

export interface OneTimePart {
  /** In the order in which they were made. */
  readonly keys: readonly PublicPart[];
  readonly file: Envelope<Targets>;
}

export interface OneTime {
  /** SHA-256 of the plan, and of the previous bundle, that the signed files follow from. */
  readonly plan: string;
  readonly previous?: string;
  readonly roles: Readonly<Partial<Record<OneTimeRole, OneTimePart>>>;
  /** When the private keys were overwritten, `YYYY-MM-DDTHH:MM:SSZ`, by the clock of that computer. */
  readonly discardedAt: string;
}

/** What is to be written. */
export interface OneTimeContent extends Omit<OneTime, 'roles'> {
  readonly roles: Readonly<
    Partial<
      Record<
        OneTimeRole,
        {
          readonly keys: readonly PublicPart[];
          readonly signedBytes: Uint8Array;
          readonly signatures: readonly Signature[];
        }
      >
    >
  >;
}

/** The file; the inverse of parseOneTime. */
export function oneTimeFile({ plan, previous, roles, discardedAt }: OneTimeContent): Buffer {
  const parts = ONE_TIME_ROLES.flatMap((role): [string, Canonicalizable][] => {
    const part = roles[role];
    if (part === undefined) return [];
    const { keys, signedBytes, signatures } = part;
    return [
      [
        role,
        {
          keyids: keys.map(({ keyid }) => keyid),
          keys: new Map(keys.map(({ keyid, key }): [string, Canonicalizable] => [keyid, { ...key }])),
          file: {
            signed: readCanonical(signedBytes),
            signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig })),
          },
        },
      ],
    ];
  });
  return canonicalFile({
    format: ONE_TIME_FORMAT,
    plan,
    previous,
    roles: new Map(parts),
    discarded: { at: discardedAt, how: DISCARDED },
  });
}

const DISCARDED = 'never written to a disk; overwritten in memory after their only signature';

/**
 * Parses one-time.json. Whether its signatures and digests are right is checked against the plan, not here.
 * @throws CountersignError `ceremony-file-invalid`.
 */
export function parseOneTime(bytes: Uint8Array): OneTime {
  const where = FILES.oneTime;
  try {
    const limits = { maxBytes: MAX_BYTES.oneTime, maxDepth: METADATA_DEPTH };
    const map = asMap({ value: parseStrictJson(bytes, limits), where });
    onlyFields(map, where, ['format', 'plan', 'previous', 'roles', 'discarded']);
    asString(field(map, where, 'format'), new RegExp(`^${ONE_TIME_FORMAT}$`));
    const previous = field(map, where, 'previous');
    const roles = asMap(field(map, where, 'roles'));
    onlyFields(roles, `${where}.roles`, ONE_TIME_ROLES);
    const discarded = asMap(field(map, where, 'discarded'));
    onlyFields(discarded, `${where}.discarded`, ['at', 'how']);
    asString(field(discarded, `${where}.discarded`, 'how'), new RegExp(`^${DISCARDED}$`));
    return {
      plan: asString(field(map, where, 'plan'), SHA256),
      ...(previous.value === undefined ? {} : { previous: asString(previous, SHA256) }),
      roles: Object.fromEntries(
        ONE_TIME_ROLES.filter((role) => roles.has(role)).map((role) => [role, readPart(roles, role)]),
      ),
      discardedAt: asExpires(field(discarded, `${where}.discarded`, 'at')),
    };
  } catch (cause) {
    if (!(cause instanceof CountersignError)) throw cause;
    const message = messageOf(cause);
    const text = message.startsWith(where) ? message : `${where}: ${message}`;
    throw new CountersignError('ceremony-file-invalid', text, { cause });
  }
}

const SHA256 = /^[0-9a-f]{64}$/;

function readPart(roles: JsonMap, role: OneTimeRole): OneTimePart {
  const where = `${FILES.oneTime}.roles.${role}`;
  const map = asMap(field(roles, `${FILES.oneTime}.roles`, role));
  onlyFields(map, where, ['keyids', 'keys', 'file']);
  const keys = readKeys(field(map, where, 'keys'));
  const list = field(map, where, 'keyids');
  const keyids = asList(list).map((value, index) => asString({ value, where: `${list.where}[${index}]` }));
  distinct(keyids, list.where);
  const parts = keyids.map((keyid) => {
    const key = keys.get(keyid);
    if (key !== undefined) return { keyid, key };
    throw new CountersignError(
      'metadata-invalid',
      `${list.where} names the key ${keyid}, which is not there`,
    );
  });
  return {
    keys: parts,
    file: readEnvelope(role === 'bins' ? BINS : TARGETS, asMap(field(map, where, 'file'))),
  };
}
