// One walk through all roles of one snapshot, level by level, several roles at once. It ends early when upstream may have
// collected what it reads, or has: then a newer snapshot is asked for, and what was taken stays taken.
import { mapConcurrent } from '../../lib/concurrency.ts';
import { hasCode, type CountersignError } from '../../lib/errors.ts';
import { nextLevel, topRole, type Delegator, type ReachedRole } from './role-walk.ts';
import { takeRole, type RolePorts } from './take-role.ts';
import type { TargetProblem } from './take-targets.ts';
import type { TrustedState } from './trusted-state.ts';

/** Problems that are named; all are counted. */
const NAMED_PROBLEMS = 100;

export interface RoundPorts extends RolePorts {
  /** Roles in hand at once. */
  readonly jobs: number;
  /** Milliseconds since the epoch at which no further role is begun. */
  readonly deadline: number;
  /** Roles looked at in this level, and how many there are. */
  readonly progress: (done: number, total: number) => void;
}

export interface Round {
  /** Roles that were not held before in this version. */
  readonly taken: number;
  /** Selected target files that could not be had. */
  readonly problems: readonly TargetProblem[];
  readonly problemCount: number;
  /** Delegated roles that had expired when they were taken: clients refuse them wherever they get them. */
  readonly expiredRoles: readonly string[];
  /** The roles that delegations lead to; absent when the walk ended early. */
  readonly reached?: ReadonlySet<string>;
  /** Why it ended early: upstream does not have a role any more. Absent at the deadline. */
  readonly missing?: CountersignError;
}

/** @throws CountersignError what verification throws; `upstream-unavailable`, `store-unavailable`. */
export async function takeRound(ports: RoundPorts, { root, snapshot }: TrustedState): Promise<Round> {
  const tally = new Tally();
  const seen = new Set(['targets']);
  let level: ReachedRole[] = [topRole(root.trust.targets, snapshot)];
  while (level.length > 0) {
    const delegators = await takeLevel(ports, level, tally);
    if (delegators === undefined) return tally;
    level = nextLevel(delegators, snapshot, seen);
  }
  const { taken, problems, problemCount, expiredRoles } = tally;
  return { taken, problems, problemCount, expiredRoles, reached: seen };
}

class Tally {
  taken = 0;
  problemCount = 0;
  readonly problems: TargetProblem[] = [];
  readonly expiredRoles: string[] = [];
  missing?: CountersignError;

  addProblems(problems: readonly TargetProblem[]): void {
    this.problemCount += problems.length;
    this.problems.push(...problems.slice(0, NAMED_PROBLEMS - this.problems.length));
  }
}

/** Undefined: ended early. */
async function takeLevel(
  ports: RoundPorts,
  level: readonly ReachedRole[],
  tally: Tally,
): Promise<Delegator[] | undefined> {
  const { clock, jobs, deadline, signal, progress } = ports;
  const delegators: Delegator[] = [];
  const startedAt = clock.now();
  let done = 0;
  const walk = { ended: false };
  await mapConcurrent(level, jobs, async (reached) => {
    walk.ended ||= signal.aborted || clock.now() > deadline;
    if (walk.ended) return;
    try {
      const { delegator, changed, expires, problems } = await takeRole(ports, reached);
      if (delegator !== undefined) delegators.push({ reached, file: delegator });
      if (changed && problems.length === 0) tally.taken += 1;
      if (expires !== undefined && expires <= startedAt) tally.expiredRoles.push(reached.role);
      tally.addProblems(problems);
    } catch (error) {
      if (!hasCode(error, 'metadata-missing')) throw error;
      walk.ended = true;
      tally.missing = error;
    }
    done += 1;
    progress(done, level.length);
  });
  return walk.ended ? undefined : delegators;
}
