// One role into the mirror: its file verified, its target files there, then the file itself in the store, then a line in
// the journal. Whatever ends the process in between, the next run begins this role again and nothing public has changed.
import { sha256Hex } from '../../lib/bytes.ts';
import type { Clock } from '../../lib/clock.ts';
import { hasCode } from '../../lib/errors.ts';
import type { ObjectStore } from '../../storage/store.ts';
import { versionedName } from '../../tuf/layout.ts';
import { MAX_STATED_BYTES } from '../../tuf/metadata-limits.ts';
import { readOwnBin, readTargets, type TargetsFile } from '../roles/targets-file.ts';
import type { HeldRole } from '../../storage/mirror-journal.ts';
import type { Presence } from './presence.ts';
import { putVerified } from './put-verified.ts';
import { trustDigest, type ReachedRole } from './role-walk.ts';
import { parseSelection, type Selection } from './selection.ts';
import { verifyRole } from './verify-role.ts';
import { takeTargets, type TakenBefore, type TargetPorts, type TargetProblem } from './take-targets.ts';

export interface RolePorts extends TargetPorts {
  readonly store: ObjectStore;
  readonly clock: Clock;
  readonly held: Map<string, HeldRole>;
  readonly presence: Presence;
  readonly selection: Selection;
  readonly selectionNumber: number;
  /** Roles with problems count as held all the same: their files are asked for again in the next run. */
  readonly publishIncomplete: boolean;
}

export interface TakenRole {
  /** Set when the role delegates further. */
  readonly delegator?: TargetsFile;
  readonly changed: boolean;
  /** Milliseconds since the epoch. */
  readonly expires?: number;
  readonly problems: readonly TargetProblem[];
}

/**
 * @throws CountersignError `metadata-missing` when upstream does not have the file any more; what verification throws;
 *   `upstream-unavailable`, `store-unavailable`.
 */
export async function takeRole(ports: RolePorts, reached: ReachedRole): Promise<TakenRole> {
  const { role, trust, scope, reference } = reached;
  const { held, presence, clock, store } = ports;
  const before = held.get(role);
  if (before !== undefined && isUpToDate(ports, reached, before)) {
    const file = before.delegates ? await readHeld(ports, role, before) : undefined;
    // A delegator that cannot be read any more is taken again below.
    if (file !== undefined || !before.delegates)
      return { ...(file && { delegator: file }), changed: false, problems: [] };
  }
  const at = clock.now();
  const name = versionedName(role, reference.version);
  const inStore = presence.mayHold(name) ? await readVerified(ports, reached, name) : undefined;
  const bytes = inStore?.bytes ?? (await ports.upstream.role(role, reference));
  const file = inStore?.file ?? (await verifyRole(reached, bytes));
  const { selection, selectionNumber } = ports;
  const taken = await takeTargets(
    ports,
    reached,
    file,
    before && (await takenBefore(ports, reached, before)),
    {
      selection,
      at,
    },
  );
  const { problems } = taken;
  if (problems.length > 0 && !ports.publishIncomplete) return { changed: true, problems };
  if (inStore === undefined) await putVerified(store, name, bytes);
  const delegates = !file.delegations.roles()[Symbol.iterator]().next().done;
  const stamp = inStore && presence.stampOf(name);
  const next: HeldRole = {
    version: file.version,
    sha256: sha256Hex(bytes),
    ...(stamp === undefined ? {} : { stamp }),
    trust: trustDigest(trust),
    scope,
    selection: problems.length > 0 ? 0 : selectionNumber,
    delegates,
    takenAt: at,
  };
  const former =
    before === undefined || before.version === file.version ? [] : [versionedName(role, before.version)];
  ports.journal.record([
    {
      role: { name: role, held: next },
      superseded: [...former, ...(taken.entry.superseded ?? [])],
      needed: [name, ...(taken.entry.needed ?? [])],
    },
  ]);
  held.set(role, next);
  presence.found(role, name);
  return {
    ...(delegates ? { delegator: file } : {}),
    changed: former.length > 0 || before === undefined,
    expires: file.expires,
    problems,
  };
}

/** Whether nothing has to be looked at again. */
function isUpToDate(
  ports: RolePorts,
  { role, trust, scope, reference }: ReachedRole,
  before: HeldRole,
): boolean {
  const sha256 = reference.hashes?.get('sha256') ?? before.sha256;
  return (
    before.version === reference.version &&
    // An index that signs a role again may leave its version as it was; snapshot says which file it means.
    before.sha256 === sha256 &&
    before.scope === scope &&
    before.trust === trustDigest(trust) &&
    before.selection === ports.selectionNumber &&
    !ports.presence.isSuspect(role)
  );
}

interface VerifiedFile {
  readonly bytes: Uint8Array;
  readonly file: TargetsFile;
}

/** What lies under the name already, if it is what snapshot names: an interrupted run left it, or this one checks it. */
async function readVerified(
  { store }: RolePorts,
  reached: ReachedRole,
  name: string,
): Promise<VerifiedFile | undefined> {
  try {
    const object = await store.get(name, MAX_STATED_BYTES);
    if (object === undefined) return undefined;
    const file = await verifyRole(reached, object.bytes);
    return { bytes: object.bytes, file };
  } catch (error) {
    const codes = [
      'metadata-invalid',
      'signature-invalid',
      'length-or-hash-mismatch',
      'metadata-too-large',
    ] as const;
    if (hasCode(error, ...codes)) return undefined;
    throw error;
  }
}

/** The file of a role that is held, when it is still the one that was verified. */
export async function readHeld(
  { store }: Pick<RolePorts, 'store'>,
  role: string,
  { version, sha256 }: HeldRole,
): Promise<TargetsFile | undefined> {
  try {
    const object = await store.get(versionedName(role, version), MAX_STATED_BYTES);
    if (object === undefined || sha256Hex(object.bytes) !== sha256) return undefined;
    return readOwnBin(object.bytes) ?? readTargets(role, object.bytes);
  } catch (error) {
    if (hasCode(error, 'metadata-too-large')) return undefined;
    throw error;
  }
}

/** Undefined: nothing of what was taken before can be relied on, every file is looked at. */
async function takenBefore(
  ports: RolePorts,
  { role, scope }: ReachedRole,
  before: HeldRole,
): Promise<TakenBefore | undefined> {
  const text = ports.journal.selectionText(before.selection);
  const file = text === undefined ? undefined : await readHeld(ports, role, before);
  if (text === undefined || file === undefined) return undefined;
  return { file, selection: parseSelection(text), sameScope: before.scope === scope, at: before.takenAt };
}
