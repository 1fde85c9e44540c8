// The second half of a run: what was prepared is ordered, published by whoever publishes, and found again in the bins.
import type { Crew } from '../backsign/crew.ts';
import type { BacksignOrder } from '../backsign/order.ts';
import type { Prepared } from '../backsign/prepared.ts';
import { Backsigner } from '../backsign/publication.ts';
import { reportOf, type BacksignReport } from '../backsign/report.ts';
import { checkResult } from '../backsign/result.ts';
import type { PreparedRun } from '../backsign/run.ts';
import { stage, unstage } from '../backsign/staging.ts';
import type { WorkFolder } from '../backsign/work-folder.ts';
import type { History } from '../ledger/ledger.ts';
import { openLedger, openStore } from '../open-ports.ts';
import type { ObjectStore } from '../storage/store.ts';
import { lookAtBins } from './backsign-progress.ts';
import { placeOrder } from './operator-order.ts';
import { startProgress } from './progress.ts';
import type { Session } from './session.ts';

/** The end of a run: there is nothing more to go on with. */
export const REPORT_NAME = 'report.json';

const BINS = { name: 'bins', size: 1 };

/** @throws CountersignError whatever stands in the way; `--resume` goes on from there. */
export async function publishRun(
  session: Session,
  folder: WorkFolder,
  run: PreparedRun,
  crew: Crew,
): Promise<BacksignReport> {
  const { config, secrets } = await session.load();
  const { prepared, settings } = run;
  const { since } = settings;
  const { digest } = prepared;
  // A bucket is what several nodes share, and none of them needs to see this folder.
  const staging = config.store.kind === 's3' ? await openStore(config, session.context) : undefined;
  const place =
    staging === undefined
      ? { folder: folder.path }
      : { staged: await copyToStore(session, staging, folder, prepared, crew) };
  const order: BacksignOrder = { ...place, digest, since };
  const ledger = await openLedger(config, secrets, session.context);
  try {
    await signAll(session, ledger, prepared, order, crew);
    if (staging !== undefined) await unstage(staging, digest);
    const checking = startProgress(session, 'checking', BINS);
    try {
      const store = await openStore(config, session.context, 'read');
      const { report: progress } = checking;
      const result = await checkResult(prepared, { folder, history: ledger, store, crew, progress });
      const report = reportOf(run, result);
      folder.write(REPORT_NAME, report);
      folder.clear();
      return report;
    } finally {
      checking.end();
    }
  } finally {
    await ledger.close();
  }
}

async function copyToStore(
  session: Session,
  store: ObjectStore,
  folder: WorkFolder,
  prepared: Prepared,
  crew: Crew,
): Promise<string> {
  const copying = startProgress(session, 'copying', BINS);
  try {
    return await stage(store, folder, prepared, crew, copying.report);
  } finally {
    copying.end();
  }
}

async function signAll(
  session: Session,
  ledger: History,
  prepared: Prepared,
  order: BacksignOrder,
  crew: Crew,
): Promise<void> {
  const signing = startProgress(session, 'signing', BINS);
  const { clock } = session.context;
  const look = await lookAtBins(ledger, prepared, clock, signing.report);
  const desk = new Backsigner({
    // Its threads have read and sorted; they end with the run.
    crew,
    // Nobody else publishes while this process does: one publication is enough.
    binsAtOnce: Number.POSITIVE_INFINITY,
    progress: (done, total) => {
      look.stop();
      signing.report(done, total);
    },
  });
  try {
    const content = JSON.stringify(order);
    await placeOrder(session, { kind: 'backsign', content, wait: true, backsign: desk, look: look.now });
  } finally {
    signing.end();
  }
}
