// The second half of a run: what was prepared is ordered, published by whoever publishes, and found again in the bins.
import type { Crew } from '../backsign/crew.ts';
import type { BacksignOrder } from '../backsign/order.ts';
import type { Prepared } from '../backsign/prepared.ts';
import { Backsigner } from '../backsign/publication.ts';
import { reportOf, type BacksignReport } from '../backsign/report.ts';
import { checkResult } from '../backsign/result.ts';
import type { PreparedRun } from '../backsign/run.ts';
import { KeptStaging } from '../backsign/kept-staging.ts';
import type { WorkFolder } from '../backsign/work-folder.ts';
import type { History } from '../ledger/ledger.ts';
import { openLedger, openStore } from '../open-ports.ts';
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
  const { clock } = session.context;
  const restored = (objects: number): void => {
    session.note(`${objects} objects of this run were missing in the store: put back`);
  };
  // A bucket is what several nodes share, and none of them needs to see this folder.
  const staging =
    config.store.kind === 's3'
      ? new KeptStaging({
          store: await openStore(config, session.context),
          folder,
          prepared,
          crew,
          clock,
          restored,
        })
      : undefined;
  const place =
    staging === undefined ? { folder: folder.path } : { staged: await copyToStore(session, staging) };
  const order: BacksignOrder = { ...place, digest, since };
  const ledger = await openLedger(config, secrets, session.context);
  try {
    const sign = (): Promise<void> => signAll(session, ledger, prepared, order, crew, staging);
    await (staging === undefined ? sign() : staging.during(sign));
    await staging?.remove();
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

async function copyToStore(session: Session, staging: KeptStaging): Promise<string> {
  const copying = startProgress(session, 'copying', BINS);
  try {
    return await staging.put(copying.report);
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
  staging: KeptStaging | undefined,
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
    const watch = async (): Promise<void> => {
      await look.now();
      await staging?.look();
    };
    await placeOrder(session, { kind: 'backsign', content, wait: true, backsign: desk, look: watch });
  } finally {
    signing.end();
  }
}
