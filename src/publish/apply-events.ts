// What a list of events does to the catalogue: pure. Events are atomic and apply in their order; one that cannot be
// applied is rejected alone, with its reason, and leaves no trace.
import type { ErrorCode } from '../lib/errors.ts';
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

/** Applies `events` to the catalogue that `lookup` shows. */
export function applyEvents(
  events: readonly AcceptedEvent[],
  lookup: (path: string) => Statement,
): AppliedEvents {
  const after = new Map<string, Statement>();
  const rejected: Rejection[] = [];
  for (const event of events) {
    const own = new Map<string, Statement>();
    const current = (path: string): Statement =>
      own.has(path) ? own.get(path) : after.has(path) ? after.get(path) : lookup(path);
    let refusal: { code: ErrorCode; reason: string } | undefined;
    for (const change of event.changes) {
      refusal = refuse(change, current(change.path));
      if (refusal !== undefined) break;
      own.set(change.path, change.op === 'remove' ? undefined : change.target);
    }
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

function refuse(change: Change, current: Statement): { code: ErrorCode; reason: string } | undefined {
  if (change.op === 'remove' && current === undefined) {
    return { code: 'target-absent', reason: `remove: ${change.path} is not published` };
  }
  if (change.op === 'add' && current !== undefined && !sameTarget(current, change.target)) {
    return {
      code: 'target-exists',
      reason:
        `add: ${change.path} is published with ${describe(current)}, the event has ` +
        `${describe(change.target)}; use "put" to replace it`,
    };
  }
  return undefined;
}

function describe({ length, hashes, custom }: TargetFile): string {
  const extra = custom === undefined ? '' : ` and custom ${canonicalJson(custom).slice(0, 200)}`;
  return `length ${length}, sha256 ${hashes.sha256}${extra}`;
}

function difference(path: string, previous: Statement, target: Statement): TargetChange | undefined {
  if (target === undefined) return previous === undefined ? undefined : { op: 'removed', path, previous };
  if (previous === undefined) return { op: 'added', path, target };
  return sameTarget(previous, target) ? undefined : { op: 'replaced', path, target, previous };
}
