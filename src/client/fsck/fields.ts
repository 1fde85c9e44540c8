// The fields of the roles, each rule looked at by itself, everywhere it applies.
import { parsePublicKey } from '../../tuf/keys.ts';
import type { JsonMap, JsonValue } from '../../tuf/json.ts';
import { checkBinsReach } from '../../tuf/delegations.ts';
import { readKeys } from '../../tuf/parse-keys.ts';
import type { Targets } from '../../tuf/metadata.ts';
import { asInteger, asMap, asString, field, onlyFields } from '../../tuf/shape.ts';
import { targetPathProblem } from '../../tuf/target-path.ts';
import type { Findings } from './findings.ts';
import { noting } from './form.ts';

/** Interop rule 1, and no name that could leave the metadata folder. */
const ROLE_NAME = /^[a-z][a-z0-9-]{0,63}$/;
const PATH_PATTERN = /^(?:\*|[A-Za-z0-9._~!@+-]+)(?:\/(?:\*|[A-Za-z0-9._~!@+-]+))*$/;
const TOP_LEVEL = ['root', 'timestamp', 'snapshot', 'targets'];

export function inspectRootFields(findings: Findings, name: string, signed: JsonMap): void {
  if (signed.get('consistent_snapshot') !== true) {
    findings.add('interop-13', name, `consistent_snapshot is ${text(signed.get('consistent_snapshot'))}`);
  }
  inspectKeys(findings, name, signed.get('keys'));
  const roles = signed.get('roles');
  noting(findings, 'interop-3', name, () => {
    onlyFields(asMap({ value: roles, where: 'roles' }), 'roles', TOP_LEVEL);
  });
  for (const [role, value] of roles instanceof Map ? (roles as JsonMap) : []) {
    noting(findings, 'interop-3', name, () => {
      onlyFields(asMap({ value, where: role }), role, ['keyids', 'threshold']);
    });
  }
}

export function inspectTimestampFields(findings: Findings, name: string, signed: JsonMap): void {
  noting(findings, 'interop-7', name, () => {
    const meta = asMap(field(signed, 'timestamp', 'meta'));
    onlyFields(meta, 'meta', ['snapshot.json']);
    const place = field(meta, 'meta', 'snapshot.json');
    const entry = asMap(place);
    onlyFields(entry, place.where, ['version', 'length', 'hashes']);
    asInteger(field(entry, place.where, 'version'), 1);
    asInteger(field(entry, place.where, 'length'), 1);
    const hashes = asMap(field(entry, place.where, 'hashes'));
    onlyFields(hashes, 'hashes', ['sha256']);
    asString(field(hashes, 'hashes', 'sha256'), /^[0-9a-f]{64}$/);
  });
}

export function inspectSnapshotFields(findings: Findings, name: string, signed: JsonMap): void {
  const meta = signed.get('meta');
  for (const [file, value] of meta instanceof Map ? (meta as JsonMap) : []) {
    const role = file.replace(/\.json$/, '');
    if (!ROLE_NAME.test(role)) findings.add('interop-1', name, `lists the role ${text(role)}`);
    noting(findings, 'interop-7', name, () => {
      const entry = asMap({ value, where: file });
      onlyFields(entry, file, ['version']);
      asInteger(field(entry, file, 'version'), 1);
    });
  }
}

/** Of `targets`, of `bins` and of every bin-n. */
export function inspectTargetsFields(findings: Findings, name: string, signed: JsonMap): void {
  const targets = signed.get('targets');
  for (const [path, value] of targets instanceof Map ? (targets as JsonMap) : []) {
    const problem = targetPathProblem(path);
    if (problem !== undefined) findings.add('interop-5', name, `target path ${text(path)} ${problem}`);
    inspectTarget(findings, name, path, value);
  }
  const delegations = signed.get('delegations');
  if (delegations instanceof Map) inspectDelegations(findings, name, delegations as JsonMap);
}

function inspectTarget(findings: Findings, name: string, path: string, value: JsonValue): void {
  const target = noting(findings, 'tuf-4', name, () => {
    const map = asMap({ value, where: path });
    onlyFields(map, path, ['length', 'hashes', 'custom']);
    return map;
  });
  if (target === undefined) return;
  const length = target.get('length');
  if (typeof length !== 'number' || length < 1) {
    findings.add('interop-13', name, `${path} has length ${text(length)}, expected an integer of at least 1`);
  }
  noting(findings, 'interop-4', name, () => {
    const hashes = asMap(field(target, path, 'hashes'));
    onlyFields(hashes, `${path}.hashes`, ['sha256']);
    asString(field(hashes, `${path}.hashes`, 'sha256'), /^[0-9a-f]{64}$/);
  });
  const custom = target.get('custom');
  if (custom !== undefined) inspectCustom(findings, name, path, custom);
}

/** `custom` is an object; JavaScript clients assign its keys. */
export function inspectCustom(findings: Findings, name: string, path: string, custom: JsonValue): void {
  noting(findings, 'tuf-4', name, () => asMap({ value: custom, where: `${path}.custom` }));
  if (hasPrototypeKey(custom))
    findings.add('interop-16', name, `custom data of ${path} has the key __proto__`);
}

function hasPrototypeKey(value: JsonValue): boolean {
  if (value instanceof Map) {
    const map = value as JsonMap;
    return map.has('__proto__') || [...map.values()].some(hasPrototypeKey);
  }
  return Array.isArray(value) && (value as readonly JsonValue[]).some(hasPrototypeKey);
}

function inspectDelegations(findings: Findings, name: string, delegations: JsonMap): void {
  inspectKeys(findings, name, delegations.get('keys'));
  const succinct = delegations.get('succinct_roles');
  noting(findings, 'interop-3', name, () => {
    onlyFields(delegations, 'delegations', ['keys', succinct === undefined ? 'roles' : 'succinct_roles']);
  });
  if (succinct instanceof Map) inspectSuccinctRoles(findings, name, succinct as JsonMap);
  const roles = delegations.get('roles');
  const seen = new Set<string>(TOP_LEVEL);
  for (const value of Array.isArray(roles) ? (roles as readonly JsonValue[]) : []) {
    if (value instanceof Map) inspectDelegatedRole(findings, name, value as JsonMap, seen);
  }
}

function inspectSuccinctRoles(findings: Findings, name: string, succinct: JsonMap): void {
  const prefix = succinct.get('name_prefix');
  if (typeof prefix !== 'string' || !ROLE_NAME.test(prefix)) {
    findings.add('interop-1', name, `delegates to the name prefix ${text(prefix)}`);
  }
  noting(findings, 'interop-3', name, () => {
    onlyFields(succinct, 'succinct_roles', ['bit_length', 'keyids', 'name_prefix', 'threshold']);
  });
}

function inspectDelegatedRole(findings: Findings, name: string, role: JsonMap, seen: Set<string>): void {
  const roleName = role.get('name');
  if (typeof roleName !== 'string' || !ROLE_NAME.test(roleName)) {
    findings.add('interop-1', name, `delegates to the role ${text(roleName)}`);
  } else {
    if (seen.has(roleName)) findings.add('interop-11', name, `delegates to ${roleName} a second time`);
    seen.add(roleName);
  }
  const selector = role.has('paths') ? 'paths' : 'path_hash_prefixes';
  noting(findings, 'interop-3', name, () => {
    onlyFields(role, text(roleName), ['name', 'keyids', 'threshold', 'terminating', selector]);
  });
  const patterns = role.get('paths');
  for (const pattern of Array.isArray(patterns) ? (patterns as readonly JsonValue[]) : []) {
    if (typeof pattern === 'string' && PATH_PATTERN.test(pattern)) continue;
    findings.add('interop-6', name, `delegates the pattern ${text(pattern)} to ${text(roleName)}`);
  }
}

/** Every key by itself, so that one bad key does not hide another. */
function inspectKeys(findings: Findings, name: string, keys: JsonValue | undefined): void {
  const map = noting(findings, 'tuf-4', name, () => asMap({ value: keys, where: 'keys' }));
  for (const [keyid, value] of map ?? []) {
    noting(findings, 'interop-3', name, () => {
      for (const key of readKeys({ value: new Map([[keyid, value]]), where: 'keys' }).values()) {
        parsePublicKey(key);
      }
    });
  }
}

/** Interop rule 6: the delegation from targets reaches every path that may be published. */
export function inspectReach(findings: Findings, name: string, targets: Targets): void {
  noting(findings, 'interop-6', name, () => {
    checkBinsReach(targets);
  });
}

function text(value: JsonValue | undefined): string {
  if (value === undefined) return 'absent';
  if (value instanceof Map) return 'an object';
  return JSON.stringify(value).slice(0, 200);
}
