// A progress bar for people who watch: on a terminal only, on standard error, gone when the work is done.
import { Presets, SingleBar } from 'cli-progress';
import type { Session } from './session.ts';

export interface Progress {
  readonly report: (done: number, total: number) => void;
  readonly end: () => void;
}

/** What is counted, where a rate says something: "bins", or "MB" of which one is a million. */
export interface Unit {
  readonly name: string;
  readonly size: number;
}

/** Draws nothing unless standard error is a terminal and the answer is for people. With a unit, the rate is drawn too. */
export function startProgress(session: Session, label: string, unit?: Unit): Progress {
  const { stderr } = session.context;
  if (session.json || stderr.isTTY !== true) return { report: () => undefined, end: () => undefined };
  const bar = new SingleBar(
    {
      format:
        unit === undefined
          ? `${label} {bar} {value}/{total} ({eta_formatted} left)`
          : `${label} {bar} {percentage}% of {total} ${unit.name}, {rate} ${unit.name}/s ({eta_formatted} left)`,
      stream: stderr,
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let started: { readonly at: number; readonly done: number } | undefined;
  const { clock } = session.context;
  return {
    report: (doneUnits, totalUnits) => {
      const [done, total] = [doneUnits, totalUnits].map((value) => Math.round(value / (unit?.size ?? 1)));
      if (done === undefined || total === undefined) return;
      if (started === undefined) {
        started = { at: clock.now(), done };
        bar.start(total, done, { rate: '…' });
        return;
      }
      const seconds = (clock.now() - started.at) / 1000;
      bar.setTotal(total);
      bar.update(done, { rate: seconds > 0 ? ((done - started.done) / seconds).toFixed(0) : '…' });
    },
    end: () => {
      if (started !== undefined) bar.stop();
    },
  };
}
