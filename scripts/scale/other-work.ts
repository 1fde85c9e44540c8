// Whether figures were taken on a machine that did nothing else: what other work had of its processors meanwhile. Each
// stage notes it beside its figures, and the page says it with them.
import * as fs from 'node:fs';

/** Noted with a figure. */
export interface Beside {
  /** Share of all processors that other work had, 0 to 1; absent where the kernel does not tell, or nobody looked. */
  readonly otherWork?: number;
  /** When the figure was there, milliseconds since the epoch. */
  readonly at?: number;
}

/** More of the processors than this, and the machine was busy. The kernel's own work for the stage is below it. */
const BUSY = 0.1;

/** In clock ticks, since the machine has started and since this process has. */
export interface Ticks {
  /** Of all processors, idle or not. */
  readonly all: number;
  readonly busy: number;
  /** Of this process and of its children that have ended. */
  readonly own: number;
}

/** Begins to look. The answer ends it: every child of the stage must have ended before. */
export function watchOtherWork(): () => Beside {
  const before = ticks();
  return () => {
    const after = ticks();
    return before === undefined || after === undefined ? {} : besideBetween(before, after);
  };
}

/** What two looks come to. */
export function besideBetween(before: Ticks, after: Ticks): Beside {
  const all = after.all - before.all;
  const others = after.busy - before.busy - (after.own - before.own);
  return all === 0 ? {} : { otherWork: Math.max(0, others) / all };
}

/** When the figures of a section were taken, and beside what. */
export function besideSentence(figures: readonly Beside[]): string {
  const times = figures.flatMap(({ at }) => at ?? []);
  if (times.length === 0) return otherWorkSentence(figures);
  const day = new Date(Math.max(...times)).toISOString().slice(0, 10);
  return `Measured on ${day}. ${otherWorkSentence(figures)}`;
}

function otherWorkSentence(figures: readonly Beside[]): string {
  const shares = figures.flatMap(({ otherWork }) => otherWork ?? []).sort((a, b) => a - b);
  const [least, most] = [shares[0], shares.at(-1)];
  if (least === undefined || most === undefined)
    return 'Whether other work kept the machine busy was not noted.';
  const [low, high] = [percent(least), percent(most)];
  const had = low === high ? high : `${low} to ${high}`;
  const partly = shares.length < figures.length ? '; of some rows it was not noted' : '';
  return most < BUSY
    ? `Other work had ${had} of the cores${partly}.`
    : `Other work kept the machine busy, with ${had} of the cores${partly}.`;
}

/** For a column of its own. */
export function besideCell({ otherWork }: Beside): string {
  return otherWork === undefined ? '–' : percent(otherWork);
}

function percent(share: number): string {
  return `${Math.round(share * 100)} %`;
}

function ticks(): Ticks | undefined {
  try {
    return ticksOf(fs.readFileSync('/proc/stat', 'utf8'), fs.readFileSync('/proc/self/stat', 'utf8'));
  } catch {
    return undefined;
  }
}

/** From the texts of /proc/stat and /proc/self/stat. */
export function ticksOf(machine: string, self: string): Ticks {
  const [line = ''] = machine.split('\n');
  // user, nice, system, idle, iowait, irq, softirq, steal: what guests had is in the first two already.
  const counts = line.split(/\s+/).slice(1, 9).map(Number);
  const all = counts.reduce((sum, count) => sum + count, 0);
  const [idle = 0, waiting = 0] = counts.slice(3, 5);
  // The second field, a name in brackets, may hold spaces.
  const [, fields = ''] = self.split(/\) (?!.*\) )/);
  const own = fields.split(' ').slice(11, 15).map(Number);
  return { all, busy: all - idle - waiting, own: own.reduce((sum, count) => sum + count, 0) };
}
