// JSON as it comes back from a ledger's tables, checked: a damaged row must be named, not half understood.
import { Type, type TSchema } from 'typebox';
import { Compile } from 'typebox/compile';
import { CountersignError } from '../lib/errors.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import type { Change, Intent } from './ledger.ts';

const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Version = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
/** interop rule 2: no fraction of a second. */
const Expires = Type.String({ pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}:\\d{2}Z$' });
const Target = Type.Object({
  length: Count,
  hashes: Type.Object({ sha256: Type.String() }),
  custom: Type.Optional(Type.Object({})),
});
const Changes = Type.Array(
  Type.Union([
    Type.Object({
      op: Type.Union([Type.Literal('add'), Type.Literal('put')]),
      path: Type.String(),
      target: Target,
    }),
    Type.Object({ op: Type.Literal('remove'), path: Type.String() }),
  ]),
);
const Roles = Type.Object({ root: Version, targets: Version, bins: Version });
const IntentShape = Type.Object({
  snapshot: Version,
  timestamp: Version,
  at: Count,
  expires: Type.Object({ timestamp: Expires, snapshot: Expires, bin: Expires }),
  roles: Roles,
  events: Type.Array(Version),
  rejected: Type.Array(Type.Object({ position: Version, code: Type.String(), reason: Type.String() })),
  bins: Type.Array(Type.Object({ bin: Count, version: Version })),
  keyids: Type.Optional(Type.Array(Type.String())),
  pages: Type.Optional(Version),
  bundle: Type.Optional(Type.String()),
  trustedRoot: Type.Optional(Type.String()),
  backsign: Type.Optional(Type.Object({ order: Type.String(), except: Type.Array(Type.String()) })),
  rebin: Type.Optional(Type.Object({ count: Version, generation: Version })),
  replaces: Type.Optional(Type.Object({ roles: Roles, trustedRoot: Type.String() })),
});

const parseTarget = parser(Target);
const parseChanges = parser(Changes);
const parseIntent = parser(IntentShape);

/** @throws CountersignError `ledger-invalid` naming `where` (table and key). */
export function storedTarget(json: string, where: string): TargetFile {
  return parseTarget(json, where) as TargetFile;
}

/** @throws CountersignError `ledger-invalid` naming `where` (table and key). */
export function storedChanges(json: string | null, where: string): Change[] {
  return parseChanges(json, where) as Change[];
}

/** @throws CountersignError `ledger-invalid` naming `where` (table and key). */
export function storedIntent(json: string | null, where: string): Intent {
  return parseIntent(json, where) as Intent;
}

function parser(schema: TSchema): (json: string | null, where: string) => unknown {
  const shape = Compile(schema);
  return (json, where) => {
    let value: unknown;
    try {
      value = JSON.parse(json ?? 'null');
    } catch (error) {
      throw new CountersignError('ledger-invalid', `${where} does not hold JSON`, { cause: error });
    }
    if (!shape.Check(value)) {
      const [fault] = shape.Errors(value);
      const at = fault === undefined || fault.instancePath === '' ? '' : ` at ${fault.instancePath}`;
      throw new CountersignError('ledger-invalid', `${where} ${fault?.message ?? 'has another form'}${at}`);
    }
    return value;
  };
}
