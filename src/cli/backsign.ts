// countersign backsign: signs what was published before signing began, in bulk.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { counted } from '../lib/counted.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { BacksignReport } from '../backsign/report.ts';
import { backsign, type BacksignRequest } from './backsign-run.ts';
import type { Answer, Perform } from './session.ts';

interface BacksignOptions {
  readonly manifest?: readonly string[];
  readonly directory?: readonly string[];
  readonly simpleIndex?: string;
  readonly fetch?: true;
  readonly compare?: string;
  readonly prefix: string;
  readonly strict?: true;
  readonly dryRun?: true;
  readonly resume?: true;
  readonly state: string;
  readonly jobs?: string;
  readonly report?: string;
  readonly out?: string;
  readonly bundle?: string;
}

/** Refused lines that are shown; the report has more. */
const SHOWN = 5;

const MAX_JOBS = 64;

export function addBacksignCommand(program: Command, perform: Perform): void {
  program
    .command('backsign')
    .description('sign what was published before signing began: any number of files, in one publication')
    .option('--manifest <file...>', 'lists of files: NDJSON or CSV, plain or compressed')
    .option('--directory <dir...>', 'directories: every file below is hashed, its path is its target path')
    .option('--simple-index <url>', 'a simple index (PEP 691, PEP 503): hashes as it gives them')
    .option('--fetch', 'with --simple-index: download every file and check length and hash')
    .option('--compare <file>', 'a second list of the same files; where they differ, nothing is signed')
    .option('--prefix <path>', 'stands before every path, such as "packages/"', '')
    .option('--strict', 'end at the first line that is refused, instead of going on without it')
    .option('--dry-run', 'read and sort everything, say what would be signed, sign nothing')
    .option('--resume', 'go on with the run in --state')
    .option(
      '--state <dir>',
      'working folder of the run: about as large as the metadata to be signed',
      'backsign',
    )
    .option('--jobs <n>', 'threads (default: one for each core)')
    .option('--report <file>', 'write counts, refused lines and the digest of every bin as JSON')
    .option('--out <dir>', 'work without store and ledger: found a repository in this directory')
    .option('--bundle <file>', "with --out: the ceremony's bundle")
    .addHelpText(
      'after',
      `
A line of NDJSON has path, length (or size) and sha256, and may have custom; a CSV has a header with these
columns (PyPI's sha256_digest too), or RSTUF's form path;size;hash-type;hash. A line that cannot be signed is
refused by number and reason; two lines that contradict each other are refused both.

A service may run meanwhile: it carries the publication out in small ones, and uploads go on. Where an upload
names the same path, the upload is newer and wins; the report names it. After an interruption, --resume goes
on. The digest in the answer is the same for the same files, whoever signs them from whichever source.

From PyPI's database, with the list's paths below "packages/":
  psql -c "COPY (SELECT path, size, sha256_digest FROM release_files) TO STDOUT WITH (FORMAT csv, HEADER)" \\
    | gzip > files.csv.gz
  countersign backsign --manifest files.csv.gz --prefix packages/ --dry-run

Examples:
  countersign backsign --manifest files.ndjson.gz --report report.json
  countersign backsign --resume
  countersign backsign --directory /srv/index/packages --prefix packages/
  countersign backsign --simple-index https://index.example/simple/ --fetch
  countersign backsign --manifest a.csv --compare b.ndjson.gz --dry-run
  countersign backsign --manifest a.csv --out ./offline --bundle bundle.json`,
    )
    .action(
      perform(async (session, raw) => {
        const options = raw as unknown as BacksignOptions;
        const { cwd } = session.context;
        const request = requestOf(options, cwd);
        const report = await backsign(session, request);
        if (options.report !== undefined) await writeReport(path.resolve(cwd, options.report), report);
        return answerOf(report, request);
      }),
    );
}

function requestOf(options: BacksignOptions, cwd: string): BacksignRequest {
  const resolve = (kind: 'list' | 'directory') => (name: string) => ({
    kind,
    name,
    path: path.resolve(cwd, name),
  });
  const sources = [
    ...(options.manifest ?? []).map(resolve('list')),
    ...(options.directory ?? []).map(resolve('directory')),
  ];
  const fresh = sources.length > 0 || options.simpleIndex !== undefined;
  if (fresh === (options.resume === true)) {
    throw new CountersignError(
      'usage',
      fresh
        ? '--resume goes on with the sources of its run: give no others'
        : 'give --manifest, --directory or --simple-index, or --resume',
    );
  }
  if (options.fetch === true && options.simpleIndex === undefined) {
    throw new CountersignError('usage', '--fetch belongs to --simple-index');
  }
  if ((options.bundle !== undefined) !== (options.out !== undefined)) {
    throw new CountersignError('usage', '--out and --bundle belong together');
  }
  const jobs = Number(options.jobs ?? 0);
  if (options.jobs !== undefined && !(Number.isInteger(jobs) && jobs >= 1 && jobs <= MAX_JOBS)) {
    throw new CountersignError('usage', `--jobs is ${options.jobs}, expected a number from 1 to ${MAX_JOBS}`);
  }
  const { simpleIndex, compare, out, bundle } = options;
  return {
    sources,
    ...(simpleIndex === undefined ? {} : { index: { url: simpleIndex, fetch: options.fetch === true } }),
    ...(compare === undefined
      ? {}
      : { compare: { kind: 'list', name: compare, path: path.resolve(cwd, compare) } }),
    prefix: options.prefix,
    strict: options.strict === true,
    dryRun: options.dryRun === true,
    resume: options.resume === true,
    folder: path.resolve(cwd, options.state),
    ...(jobs === 0 ? {} : { jobs }),
    ...(out === undefined || bundle === undefined
      ? {}
      : { offline: { directory: path.resolve(cwd, out), bundle: path.resolve(cwd, bundle) } }),
  };
}

async function writeReport(file: string, report: BacksignReport): Promise<void> {
  try {
    await writeFile(file, `${JSON.stringify(report, null, 1)}\n`);
  } catch (error) {
    throw new CountersignError('usage', `cannot write ${file}: ${messageOf(error)}`, { cause: error });
  }
}

function answerOf(report: BacksignReport, { dryRun, folder, offline }: BacksignRequest): Answer {
  const { digest, sources, files, repeated, refused, contradictory, bins, binCount, result } = report;
  const lines = [
    `${dryRun ? 'would sign' : 'signed'} ${counted(files, 'file')} in ${bins.length} of ${binCount} bins` +
      (result === undefined ? '' : `, public since snapshot ${result.snapshot}`),
    `digest of all files: ${digest}`,
    ...sources.flatMap(({ name, serial }) =>
      serial === undefined ? [] : [`${name} was read at serial ${serial}`],
    ),
  ];
  if (repeated > 0) lines.push(`${repeated} lines say what another line says`);
  if (refused.count > 0) {
    lines.push(`refused ${counted(refused.count, 'line')}:`);
    for (const { file, line, reason } of refused.lines.slice(0, SHOWN))
      lines.push(`  ${file}:${line} ${reason}`);
    if (refused.count > SHOWN) lines.push('  …; --report names them');
  }
  if (contradictory.lines > 0) {
    lines.push(`refused ${contradictory.lines} lines that contradict each other:`);
    for (const { path: target, places } of contradictory.paths.slice(0, SHOWN)) {
      lines.push(`  ${target}: ${places.map(({ file, line }) => `${file}:${line}`).join(' and ')}`);
    }
    if (contradictory.paths.length > SHOWN) lines.push('  …; --report names them');
  }
  if (result !== undefined && result.superseded.count + result.removed.count > 0) {
    lines.push(
      `uploads were newer: ${result.superseded.count} paths have their content, ${result.removed.count} were removed`,
    );
  }
  if (dryRun) lines.push(`next: countersign backsign --resume --state ${folder}`);
  else if (offline !== undefined) {
    const from = path.join(offline.directory, 'repository');
    lines.push(`next: countersign copy --from file:${from} --to STORE, and the ledger beside it`);
  }
  return { json: { dryRun, ...report }, text: lines.join('\n') };
}
