// The steps of a run, with everything that the configuration names: read and sort, compare, order, check.
import { mkdir, rm } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import path from 'node:path';
import { compareFiles } from '../backsign/compare.ts';
import { crewOfThreads, type Crew } from '../backsign/crew.ts';
import { reportOf, type BacksignReport } from '../backsign/report.ts';
import { beginRun, isBegun, prepareRun, type PreparedRun, type SourceSetting } from '../backsign/run.ts';
import { crawl } from '../backsign/sources/simple-index.ts';
import { takeFolder } from '../backsign/take-folder.ts';
import { WorkFolder } from '../backsign/work-folder.ts';
import { CountersignError } from '../lib/errors.ts';
import { openSigner } from '../open-signer.ts';
import { bootstrap } from '../publish/bootstrap.ts';
import { readPublicState } from '../publish/public-state.ts';
import { openLedger, openStore } from '../open-ports.ts';
import { openBinThreads } from '../open-threads.ts';
import { publishRun, REPORT_NAME } from './backsign-publish.ts';
import { readBundle } from './bootstrap.ts';
import { startProgress } from './progress.ts';
import type { Session } from './session.ts';

export interface BacksignRequest {
  readonly sources: readonly SourceSetting[];
  readonly index?: { readonly url: string; readonly fetch: boolean };
  readonly compare?: SourceSetting;
  readonly prefix: string;
  readonly strict: boolean;
  readonly dryRun: boolean;
  readonly resume: boolean;
  /** The working folder, absolute. */
  readonly folder: string;
  readonly jobs?: number;
  readonly offline?: { readonly directory: string; readonly bundle: string };
}

const MEGABYTES = { name: 'MB', size: 1_000_000 };

/** @throws CountersignError whatever stands in the way; `--resume` goes on from there. */
export async function backsign(given: Session, request: BacksignRequest): Promise<BacksignReport> {
  const { offline } = request;
  const session = offline === undefined ? given : await offlineSession(given, offline);
  const { config } = await session.load();
  const folder = new WorkFolder(request.folder);
  folder.make();
  const release = takeFolder(folder, session.leaseTaker.holder);
  // However many there are: nothing else runs in this process.
  const threads = openBinThreads(config, request.jobs ?? availableParallelism());
  const crew = crewOfThreads(threads);
  try {
    await begin(session, folder, request);
    const finished = folder.read<BacksignReport>(REPORT_NAME);
    if (finished !== undefined) return finished;
    const run = await read(session, folder, crew);
    const { compare } = request;
    if (compare !== undefined) await compareWith(session, { folder, run, crew, compare });
    if (request.dryRun) return reportOf(run);
    return await publishRun(session, folder, run, crew);
  } finally {
    await threads.close();
    release();
  }
}

/** Writes down what a new run is about, or finds the one to go on with. */
async function begin(session: Session, folder: WorkFolder, request: BacksignRequest): Promise<void> {
  if (request.resume) return;
  if (isBegun(folder)) {
    throw new CountersignError(
      'file-exists',
      `${folder.path} holds a run already: go on with it with --resume, or give another folder with --state`,
    );
  }
  const { binCount, since } = await repository(session);
  const { prefix, strict, index } = request;
  const sources = [...request.sources];
  if (index !== undefined) {
    const reading = startProgress(session, 'reading the index');
    const listFile = folder.file('index.ndjson');
    try {
      const pagesFile = folder.file('pages.ndjson');
      const { clock } = session.context;
      const { serial } = await crawl({ ...index, pagesFile, listFile, clock, progress: reading.report });
      const source = { kind: 'list', name: index.url, path: listFile } as const;
      sources.push({ ...source, ...(serial === undefined ? {} : { serial }) });
    } finally {
      reading.end();
    }
  }
  beginRun(folder, { sources, prefix, strict, binCount, since });
}

interface ComparedRun {
  readonly folder: WorkFolder;
  readonly run: PreparedRun;
  readonly crew: Crew;
  readonly compare: SourceSetting;
}

/** @throws CountersignError `manifest-invalid` that names the first differences. */
async function compareWith(session: Session, { folder, run, crew, compare }: ComparedRun): Promise<void> {
  const second = new WorkFolder(folder.file('second'));
  await rm(second.path, { recursive: true, force: true });
  second.make();
  beginRun(second, { ...run.settings, sources: [compare] });
  const other = await read(session, second, crew);
  const differences = await compareFiles(
    { folder, prepared: run.prepared },
    { folder: second, prepared: other.prepared },
  );
  await rm(second.path, { recursive: true, force: true });
  if (differences.count === 0) return;
  const named = differences.described.slice(0, 20).map(({ path: target, found }) => `${target} (${found})`);
  throw new CountersignError(
    'manifest-invalid',
    `the sources differ in ${differences.count} paths: ${named.join(', ')}${differences.count > named.length ? ', …' : ''}`,
    { details: { differences: differences.count } },
  );
}

/** Store and ledger in a directory, founded on the bundle: whatever else is configured, but for the online key. */
async function offlineSession(
  session: Session,
  { directory, bundle }: { readonly directory: string; readonly bundle: string },
): Promise<Session> {
  const { context } = session;
  await mkdir(directory, { recursive: true });
  const env = {
    ...context.env,
    COUNTERSIGN_STORE: `file:${path.join(directory, 'repository')}`,
    COUNTERSIGN_LEDGER: `sqlite:${path.join(directory, 'ledger.db')}`,
  };
  const offline = session.with({ ...context, env });
  const { config, secrets } = await offline.load();
  const ledger = await openLedger(config, secrets, context);
  try {
    const head = await ledger.head();
    if (head !== undefined && !(head.snapshot === 1 && head.unfinished !== undefined)) return offline;
    const signer = await openSigner(config, secrets, {
      clock: context.clock,
      trusted: () => Promise.resolve([]),
      unattended: true,
      warn: (message) => {
        session.note(`countersign: ${message}`);
      },
    });
    try {
      await bootstrap(await readBundle(bundle), {
        ledger,
        history: ledger,
        store: await openStore(config, context),
        signer,
        clock: context.clock,
        lifetimes: config.lifetimes,
        ...session.leaseTaker,
      });
    } finally {
      await signer.close();
    }
    return offline;
  } finally {
    await ledger.close();
  }
}

/** What the repository is like now. */
async function repository(session: Session): Promise<{ binCount: number; since: number }> {
  const { config, secrets } = await session.load();
  const ledger = await openLedger(config, secrets, session.context);
  try {
    const store = await openStore(config, session.context, 'read');
    const { head, published } = await readPublicState(ledger, store);
    return { binCount: published.snapshot.layout.count, since: head.snapshot };
  } finally {
    await ledger.close();
  }
}

async function read(session: Session, folder: WorkFolder, crew: Crew): Promise<PreparedRun> {
  const reading = startProgress(session, 'reading', MEGABYTES);
  const sorting = startProgress(session, 'sorting');
  try {
    return await prepareRun(folder, crew, {
      reading: reading.report,
      sorting: (done, total) => {
        reading.end();
        sorting.report(done, total);
      },
    });
  } finally {
    reading.end();
    sorting.end();
  }
}
