// What an import that takes its time is doing, whoever publishes: how many new bins are written, and the minute between a
// new root and what needs it.
import type { History } from '../ledger/ledger.ts';
import { bundledVersions } from '../publish/import.ts';
import { ROOT_AHEAD_MS } from '../publish/import-desk.ts';
import type { VerifiedBundle } from '../tuf/bundle.ts';
import { startProgress, type Progress } from './progress.ts';
import type { Session } from './session.ts';

/** Milliseconds between two looks at how many bins are written. */
const LOOK_MS = 1000;

export interface ImportWatch {
  readonly look: (ledger: History) => Promise<void>;
  readonly end: () => void;
}

/** Watches an import until `end`; `rebins`: whether the bins become others. */
export function watchImport(session: Session, bundle: VerifiedBundle, rebins: boolean): ImportWatch {
  const watches = [watchRoot(session, bundle), ...(rebins ? [watchBins(session, bundle)] : [])];
  return {
    look: async (ledger) => {
      for (const watch of watches) await watch.look(ledger);
    },
    end: () => {
      for (const watch of watches) watch.end();
    },
  };
}

/** Says at once why nothing seems to happen after a root that went ahead, and counts the seconds on a terminal. */
function watchRoot(session: Session, bundle: VerifiedBundle): ImportWatch {
  const { clock } = session.context;
  const wanted = bundledVersions(bundle);
  const total = ROOT_AHEAD_MS / 1000;
  let ahead: { readonly since: number; readonly progress: Progress } | undefined;
  const end = (): void => {
    ahead?.progress.end();
    ahead = undefined;
  };
  return {
    look: async (ledger) => {
      const head = await ledger.head();
      const waits =
        head?.unfinished === undefined &&
        head?.roles.root === wanted.root &&
        (head.roles.targets < wanted.targets || head.roles.bins < wanted.bins);
      if (!waits) {
        end();
        return;
      }
      if (ahead === undefined) {
        session.note(
          `root ${wanted.root} is public; what it needs follows ${total} seconds later, so that no client that is ` +
            'updating now falls in between (Ctrl-C leaves the rest to the service)',
        );
        ahead = { since: clock.now(), progress: startProgress(session, 'seconds') };
      }
      ahead.progress.report(Math.min(total, Math.floor((clock.now() - ahead.since) / 1000)), total);
    },
    end,
  };
}

/** Shows how many of the new bins are written. */
function watchBins(session: Session, { layout }: VerifiedBundle): ImportWatch {
  const { clock } = session.context;
  const progress = startProgress(session, 'bins', { name: 'bins', size: 1 });
  let looked = Number.NEGATIVE_INFINITY;
  return {
    look: async (ledger) => {
      if (clock.now() - looked < LOOK_MS) return;
      looked = clock.now();
      const written = await ledger.bins(layout);
      progress.report(written.length, layout.count);
    },
    end: () => {
      progress.end();
    },
  };
}
