// A progress bar for people who watch: on a terminal only, on standard error, gone when the work is done.
import { Presets, SingleBar } from 'cli-progress';
import type { Session } from './session.ts';

export interface Progress {
  readonly report: (done: number, total: number) => void;
  readonly end: () => void;
}

/** Draws nothing unless standard error is a terminal and the answer is for people. */
export function startProgress(session: Session, label: string): Progress {
  const { stderr } = session.context;
  if (session.json || stderr.isTTY !== true) return { report: () => undefined, end: () => undefined };
  const bar = new SingleBar(
    {
      format: `${label} {bar} {value}/{total} ({eta_formatted})`,
      stream: stderr,
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let started = false;
  return {
    report: (done, total) => {
      if (!started) {
        bar.start(total, done);
        started = true;
      } else {
        bar.setTotal(total);
        bar.update(done);
      }
    },
    end: () => {
      if (started) bar.stop();
    },
  };
}
