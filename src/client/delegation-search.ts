// TUF 5.6.7: pre-order depth-first search through delegations for the role that knows a target path.
import { CountersignError } from '../lib/errors.ts';
import type { Delegation } from './roles/delegations.ts';
import type { Target, TargetsFile } from './roles/targets-file.ts';

/** TUF 5.6.7.1 "a pre-defined maximum number of roles"; the same in python-tuf, tuf-js and go-tuf. */
export const MAX_VISITED_ROLES = 32;

/**
 * The statement of the first role that knows `path`, or undefined when none does.
 * @param load verifies and returns a delegated role.
 * @throws CountersignError `too-many-delegations`, and whatever `load` throws: a role that does not verify ends the
 *   search, because a later one could say something else about the path.
 */
export async function searchTarget(
  path: string,
  top: TargetsFile,
  load: (delegation: Delegation) => Promise<TargetsFile>,
): Promise<Target | undefined> {
  const visited = new Set<string>();
  /** The next role to visit is at the end. */
  let pending: Delegation[] = [];
  for (let file = top; ;) {
    const target = file.target(path);
    if (target !== undefined) return target; // TUF 5.6.7.1, 5.6.7.2.2: the first answer ends the search
    // TUF 5.6.7.2: in order of appearance.
    const children = file.delegations(path);
    // TUF 5.6.7.2.1: nothing behind the first terminating delegation is looked at, here and in all delegators above.
    const end = children.findIndex(({ terminating }) => terminating);
    if (end !== -1) pending = [];
    pending.push(...children.slice(0, end === -1 ? undefined : end + 1).reverse());
    // TUF 5.6.7.1: "if … already visited, skip": cycles end.
    let next = pending.pop();
    while (next !== undefined && visited.has(next.role)) next = pending.pop();
    if (next === undefined) return undefined;
    if (visited.size === MAX_VISITED_ROLES) {
      throw new CountersignError(
        'too-many-delegations',
        `target path ${JSON.stringify(path.slice(0, 200))} is not found after ${MAX_VISITED_ROLES} delegated roles`,
      );
    }
    visited.add(next.role);
    file = await load(next);
  }
}
