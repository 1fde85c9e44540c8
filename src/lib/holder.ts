// How processes name themselves in the publisher lease, and how one sees that another cannot come back.

/** A process of some machine: `host:pid:start`. */
export interface ProcessName {
  /** Of one machine alone (./machine-name.ts). */
  readonly host: string;
  readonly pid: number;
  /** Milliseconds since the epoch; tells apart two processes that had the same id one after the other. */
  readonly startedAt: number;
}

export function formatHolder({ host, pid, startedAt }: ProcessName): string {
  return `${host}:${pid}:${startedAt}`;
}

/**
 * True when the process that `holder` names has ended: it is of `own` machine, and its id is free or now our own.
 * A process of another machine, or an id that somebody else got meanwhile, counts as alive: its lease runs out.
 */
export function isGone(holder: string, own: ProcessName): boolean {
  const [, host, digits] = /^(.+):(\d{1,10}):\d+$/.exec(holder) ?? [];
  if (host !== own.host || holder === formatHolder(own)) return false;
  const pid = Number(digits);
  return pid === own.pid || !exists(pid);
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0); // Signal 0 asks, and does nothing else.
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
