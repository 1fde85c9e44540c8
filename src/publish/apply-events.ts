// What a list of events does to the catalogue: pure. Events are atomic and apply in their order; one that cannot be
// applied is rejected alone, with its reason, and leaves no trace.
import { hasCode, type ErrorCode } from '../lib/errors.ts';
import type { AcceptedEvent, Change, Rejection, TargetChange } from '../ledger/ledger.ts';
import { canonicalJson } from '../tuf/canonical-json.ts';
import type { TargetFile } from '../tuf/metadata.ts';

/** What a path names; undefined: nothing. */
export type Statement = TargetFile | undefined;

export interface AppliedEvents {
  /** The difference between the catalogue before and after, one element a path, ascending. */
  readonly changes: readonly TargetChange[];
  readonly rejected: readonly Rejection[];
}

/** What refuses an event that would make something too large. */
export interface Room {
  /** Takes the room that the statements of one event need, all or none; `before` is what stands there until then. */
  take(statements: ReadonlyMap<string, Statement>, before: (path: string) => Statement): void;
}

/** Applies `events` to the catalogue that `lookup` shows; `room` refuses what does not fit. */
export function applyEvents(
  events: readonly AcceptedEvent[],
  lookup: (path: string) => Statement,
  room?: Room,
): AppliedEvents {
  const after = new Map<string, Statement>();
  const rejected: Rejection[] = [];
  const before = (path: string): Statement => (after.has(path) ? after.get(path) : lookup(path));
  for (const event of events) {
    const own = new Map<string, Statement>();
    const current = (path: string): Statement => (own.has(path) ? own.get(path) : before(path));
    let refusal: Refusal | undefined;
    for (const change of event.changes) {
      refusal = refuse(change, current(change.path));
      if (refusal !== undefined) break;
      own.set(change.path, change.op === 'remove' ? undefined : change.target);
    }
    refusal ??= room === undefined ? undefined : crowded(room, own, before);
    if (refusal !== undefined) rejected.push({ position: event.position, ...refusal });
    else for (const [path, statement] of own) after.set(path, statement);
  }
  const changes = [...after.keys()]
    .sort()
    .map((path) => difference(path, lookup(path), after.get(path)))
    .filter((change) => change !== undefined);
  return { changes, rejected };
}

/** True when both name the same bytes with the same `custom`. */
export function sameTarget(a: TargetFile, b: TargetFile): boolean {
  return (
    a.length === b.length &&
    a.hashes.sha256 === b.hashes.sha256 &&
    canonicalJson(a.custom ?? {}) === canonicalJson(b.custom ?? {})
  );
}

interface Refusal {
  readonly code: ErrorCode;
  readonly reason: string;
}

function crowded(
  room: Room,
  statements: ReadonlyMap<string, Statement>,
  before: (path: string) => Statement,
): Refusal | undefined {
  try {
    room.take(statements, before);
    return undefined;
  } catch (error) {
    if (!hasCode(error, 'metadata-too-large', 'path-forbidden')) throw error;
    return { code: error.code, reason: error.message };
  }
}

function refuse(change: Change, current: Statement): Refusal | undefined {
  if (change.op === 'remove' && current === undefined) {
    return { code: 'target-absent', reason: `${change.path} is not published` };
  }
  if (change.op === 'add' && current !== undefined && !sameTarget(current, change.target)) {
    return {
      code: 'target-exists',
      reason:
        `${change.path} is published with ${describe(current)}, the event has ` +
        `${describe(change.target)}; use "put" to replace it`,
    };
  }
  return undefined;
}

function describe({ length, hashes, custom }: TargetFile): string {
  // Cut between two characters: half of one has no canonical JSON, and the reason is a part of the intent.
  const extra =
    custom === undefined ? '' : ` and custom ${canonicalJson(custom).slice(0, 200).toWellFormed()}`;
  return `length ${length}, sha256 ${hashes.sha256}${extra}`;
}

function difference(path: string, previous: Statement, target: Statement): TargetChange | undefined {
  if (target === undefined) return previous === undefined ? undefined : { op: 'removed', path, previous };
  if (previous === undefined) return { op: 'added', path, target };
  return sameTarget(previous, target) ? undefined : { op: 'replaced', path, target, previous };
}
