// docs/scale.md and its pictures, from the figures that the stages of the benchmark have left.
import { cpus, release, totalmem, type } from 'node:os';
import process from 'node:process';
import { svgChart } from './chart.ts';
import type { GarbageFigures } from './garbage.ts';
import type { Growth } from './growth.ts';
import type { Taken } from './measured-process.ts';
import { besideCell, besideSentence, type Beside } from './other-work.ts';
import type { PeerRun } from './peer.ts';
import { PYPI_FILES } from './pypi-files.ts';
import type { RebinRun } from './rebin.ts';
import type { ServiceLife } from './service-life.ts';
import type { Week } from './week.ts';

/** PEP 458 goal: PyPI's files on two cores. */
const LIMIT_SECONDS = 360;
const LIMIT_MB = 1000;

export interface ScaleFigures {
  /** Ascending by files; the last one is of PyPI's size. */
  readonly growth?: readonly (Growth & Beside)[];
  readonly peer?: PeerRun & Beside;
  readonly rebin?: readonly (RebinRun & Beside)[];
  readonly service?: ServiceLife & Beside;
  readonly week?: Week & Beside;
}

/** The page of these figures. `before`: the page as it is; what there are no figures of stays as it stands there. */
export function scalePage({ growth, peer, rebin, service, week }: ScaleFigures, before: string): string {
  const section = <T>(title: string, figures: T | undefined, write: (figures: T) => string): string[] =>
    figures === undefined ? sectionOf(before, title) : [write(figures)];
  return [
    `# At PyPI's size

Every number on this page was written by \`npm run bench:scale\`; each section says when.
\`npm run bench:scale\` needs 30 GB of free disk space, \`python3\` for the peer and the client, and half an hour of a
machine that does nothing else; \`npm run bench:scale -- STAGE…\` does only some of \`growth\`, \`service\`, \`week\`, \`rebin\`, \`peer\`, and
\`-- page\` writes this page anew: what was not measured since stays as it stands. Machine: ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, ${type()} ${release()}, Node.js ${process.version}.

The lists are made by \`scripts/generate-manifest.ts\`: names, tags and lengths in the shapes and shares of PyPI's, paths of
112 bytes on average, the same list each time. Keys are Ed25519, the store is a directory, the ledger SQLite.
`,
    ...section(GROWTH, growth, growthSection),
    ...section(SERVICE, service, serviceSection),
    ...section(WEEK, week, weekSection),
    ...section(REBIN, rebin, rebinSection),
    ...section(PEER, peer, peerSection),
  ].join('\n');
}

const GROWTH = 'Back-signing';
const SERVICE = 'The service on it';
const WEEK = 'A week of renewals';
const REBIN = 'Another number of bins';
const PEER = 'Against the peer';

/** A section of a page, with its title; none when the page has none. */
function sectionOf(page: string, title: string): string[] {
  const [, ...sections] = page.split(/^(?=## )/m);
  const found = sections.find((each) => each.startsWith(`## ${title}\n`));
  return found === undefined ? [] : [`${found.trimEnd()}\n`];
}

function growthSection(growth: NonNullable<ScaleFigures['growth']>): string {
  const full = growth.at(-1);
  const rows = growth.map(({ files, bins, backsign, steps, fsck, metadataBytes, ...beside }) => [
    count(files),
    count(bins),
    seconds(backsign.seconds),
    `${seconds(steps.read)} + ${seconds(steps.sort)} + ${seconds(steps.sign)}`,
    seconds(backsign.cpuSeconds),
    share(backsign),
    besideCell(beside),
    count(files / backsign.seconds),
    mb(backsign.peakMb),
    `${(metadataBytes / 1e9).toFixed(2)} GB`,
    seconds(fsck.seconds),
    mb(fsck.peakMb),
  ]);
  const head = [
    'files',
    'bins',
    'back-signing',
    'read + sort + sign',
    'CPU',
    'of all cores',
    'other work',
    'files/s',
    'peak memory',
    'metadata',
    '`fsck`',
    'its memory',
  ];
  const client = full?.client;
  return `## ${GROWTH}

${table(head, rows)}

![Seconds against files](scale-growth.svg)

Promised for the last row: under ${LIMIT_SECONDS} s and under ${count(LIMIT_MB)} MB of memory, all threads together: ${
    full === undefined
      ? 'not measured'
      : full.backsign.seconds < LIMIT_SECONDS && (full.backsign.peakMb ?? 0) < LIMIT_MB
        ? 'kept'
        : '**missed**'
  }. Every file was found again
in the public bins afterwards, and \`fsck\` found no rule broken.${
    client === undefined
      ? ''
      : ` python-tuf refreshed in ${client.refreshSeconds.toFixed(2)} s and found ${count(client.found)} files drawn at random in ${client.lookupSeconds.toFixed(1)} s.`
  }

${besideSentence(growth)} Where a run had much less than what other work left, the disk was waited for: compare the
seconds of the processor, which hardly depend on it.

The time has a part that belongs to the bins (each is signed, verified, written with \`fsync\` and read back, whatever is in it) and a
part that belongs to the files: ${perFile(growth)}.
`;
}

/** Seconds of the processor between the smallest and the largest list, by file. */
function perFile(growth: readonly Growth[]): string {
  const [first, last] = [growth[0], growth.at(-1)];
  if (first === undefined || last === undefined || first === last) return 'not measured';
  const [least = 0, most = 0] = [first, last].map(({ backsign }) => backsign.cpuSeconds);
  const each = ((most - least) / (last.files - first.files)) * 1e6;
  const middle = growth.slice(1, -1).map(({ files, backsign }) => {
    const expected = least + ((files - first.files) * each) / 1e6;
    return `on a straight line between the first row and the last, ${count(files)} files would take ${seconds(expected)} of the processor; they took ${seconds(backsign.cpuSeconds)}`;
  });
  return [`${each.toFixed(1)} µs of the processor for each further file`, ...middle].join('; ');
}

function serviceSection(service: ServiceLife & Beside): string {
  const { startMs, publications, publicationsPerSecond, peakMb } = service;
  return `## ${SERVICE}

| what | found | promised |
| ---- | ----- | -------- |
| start until ready | ${startMs.map((ms) => count(ms)).join(', ')} ms | at most 3,000 ms |
| events one at a time, ${count(publications)} of them | ${count(publicationsPerSecond)} publications/s | as on [a small one](performance.md) |
| memory, highest | ${mb(peakMb)} | at most 400 MB |

${besideSentence([service])}
`;
}

function weekSection(week: Week & Beside): string {
  const { days, bins, leastLeft, signatures, bytes, collected, gc } = week;
  const figures = [signatures, bytes].map((list) => ({ average: average(list), most: Math.max(...list) }));
  const [signed, written] = figures;
  return `## ${WEEK}

The publisher's own code lived through ${days} simulated days with ${count(bins)} bins that expire daily, on a store and a ledger of files; only
the clock was not real. The index is the smallest of those above, without uploads, and \`gc\` runs every twelve hours, not every hour. It
took ${seconds(week.seconds)}${week.inMemory === true ? ', with its files in memory' : ''}. Figures are of the second day and later. ${besideSentence([week])}

| by minute | average | highest | ratio |
| --------- | ------- | ------- | ----- |
| signatures | ${(signed?.average ?? 0).toFixed(1)} | ${signed?.most ?? 0} | ${((signed?.most ?? 0) / (signed?.average ?? 1)).toFixed(2)} |
| bytes written | ${count(written?.average ?? 0)} | ${count(written?.most ?? 0)} | ${((written?.most ?? 0) / (written?.average ?? 1)).toFixed(2)} |

No bin ever had less than ${(leastLeft * 100).toFixed(0)} % of its lifetime left (promised: a quarter). \`gc\` ran ${collected.runs} times and removed ${count(collected.removed)}
objects, ${(collected.removedBytes / 1e9).toFixed(1)} GB. All that the week had left behind, collected at once: ${count(gc.removed)} objects removed and ${count(gc.kept)} kept
in ${seconds(gc.seconds)}, for which the process grew by ${mb(gc.grownMb)}.

![Signatures by minute over a day](scale-renewal.svg)

![Bytes by minute over a day](scale-bytes.svg)

The storm is what the same work looks like when all bins are signed again at two in the morning, in one minute.
`;
}

function rebinSection(runs: readonly (RebinRun & Beside)[]): string {
  const rows = runs.map(({ from, to, files, publications, uploadMs, fsck, ...taken }) => [
    `${count(from)} → ${count(to)}`,
    count(files),
    seconds(taken.seconds),
    seconds(taken.prepareSeconds),
    seconds(taken.cpuSeconds),
    besideCell(taken),
    `${((taken.prepareSeconds * 1000) / to).toFixed(1)} ms`,
    count(publications),
    `${count(uploadMs[Math.floor(uploadMs.length / 2)] ?? 0)} ms, ${count(uploadMs.at(-1) ?? 0)} ms`,
    mb(taken.peakMb),
    seconds(fsck.seconds),
  ]);
  const head = [
    'bins',
    'files',
    'time',
    'preparing',
    'CPU',
    'other work',
    'preparing a new bin',
    'publications',
    'an upload: median, longest',
    'memory',
    '`fsck`',
  ];
  return `## ${REBIN}

A service changes the number of its bins (ADR 20) as \`countersign import\` asks, and takes an upload every half second
meanwhile. Bins are prepared in publications of their own, uploads in between; the whole takes a minute at least, because the
ceremony's new root goes ahead by so much. Processor and memory are those of the service. ${besideSentence(runs)}

${table(head, rows)}

${reckoned(runs)}
${garbageTable(runs.flatMap(({ garbage }) => garbage))}`;
}

/** Bins that an index of PyPI's size would have after the change. */
const PYPI_BINS = 16_384;

/** The processor's seconds are those of bins and those of files: two runs tell them apart. */
function reckoned(runs: readonly RebinRun[]): string {
  const [few, many] = runs;
  if (few?.to !== many?.to || few?.cpuSeconds === undefined || many?.cpuSeconds === undefined) return '';
  const perFile = (many.cpuSeconds - few.cpuSeconds) / (many.files - few.files);
  const perBin = (few.cpuSeconds - perFile * few.files) / few.to;
  const pypi = perBin * PYPI_BINS + perFile * PYPI_FILES;
  return `That is ${(perBin * 1000).toFixed(2)} ms of the processor for each new bin and ${(perFile * 1e6).toFixed(1)} µs for each file. At the same cost, PyPI's ${count(PYPI_FILES)} files would come from
${count(PYPI_BINS / 2)} bins into ${count(PYPI_BINS)} with ${count(pypi)} s of the processor: reckoned, not measured.`;
}

function garbageTable(runs: readonly GarbageFigures[]): string {
  if (runs.length === 0) return '';
  const rows = runs.map(({ removed, seconds: taken, grownMb }) => [
    count(removed),
    seconds(taken),
    count(removed / taken),
    mb(grownMb),
  ]);
  return `
What is left behind is collected at once, in as many versions as it takes (links to one file for each bin):

${table(['objects removed', 'time', 'objects/s', 'the process grew by'], rows)}
`;
}

function peerSection(run: PeerRun & Beside): string {
  const { bins, own, peer } = run;
  const peerSeconds = peer.importSeconds + peer.publishSeconds;
  const rate = (files: number, taken: number): string => count(files / taken);
  return `## ${PEER}

RSTUF's way, on ${count(peer.files)} of these files and ${count(bins)} bins: its command line's import into the database, its worker's publication of
what the database holds, with the same statements and steps, done with SQLAlchemy and python-tuf ${peer.version}
(\`scripts/scale/peer.py\`). Its worker is not published as a package that could be installed here. The database is SQLite in the same
process, which answers sooner than a server; its HTTP, broker and Redis are left out, its metadata are not fsynced, and nothing
is verified after it was signed. countersign's figure has every fsync, and every signature verified. ${besideSentence([run])}

| | seconds | files/s |
| - | - | - |
| countersign backsign | ${own.backsign.seconds.toFixed(1)} | ${rate(own.files, own.backsign.seconds)} |
| RSTUF's import (${peer.importSeconds.toFixed(1)} s) and publication (${peer.publishSeconds.toFixed(1)} s) | ${peerSeconds.toFixed(1)} | ${rate(peer.files, peerSeconds)} |
`;
}

/** By name: the pictures of the page. */
export function scalePictures({ growth, week }: ScaleFigures): ReadonlyMap<string, string> {
  const pictures = new Map<string, string>();
  if (growth !== undefined) pictures.set('scale-growth.svg', growthPicture(growth));
  if (week !== undefined) {
    pictures.set(
      'scale-renewal.svg',
      dayPicture('Signatures in a minute', 'signatures', week.signatures, week.bins),
    );
    const storm = (week.bins * average(week.bytes)) / average(week.signatures);
    const megabytes = week.bytes.map((bytes) => bytes / 1e6);
    pictures.set('scale-bytes.svg', dayPicture('Bytes written in a minute', 'MB', megabytes, storm / 1e6));
  }
  return pictures;
}

function growthPicture(growth: readonly Growth[]): string {
  const most = Math.max(...growth.flatMap(({ backsign, fsck }) => [backsign.seconds, fsck.seconds]));
  const step = niceStep(most / 4);
  const millions = Math.ceil((growth.at(-1)?.files ?? 0) / 4e6);
  return svgChart({
    title: 'Back-signing grows with the number of files',
    x: {
      label: 'files, in millions',
      ticks: Array.from({ length: millions + 1 }, (_, i) => i * 4e6),
      format: (files) => String(files / 1e6),
    },
    y: {
      label: 'seconds',
      ticks: Array.from({ length: Math.ceil(most / step) + 1 }, (_, i) => i * step),
      format: String,
    },
    series: [
      {
        name: 'countersign backsign',
        form: 'line',
        points: growth.map(({ files, backsign }) => [files, backsign.seconds]),
      },
      {
        name: 'its seconds of the processor',
        form: 'line',
        points: growth.map(({ files, backsign }) => [files, backsign.cpuSeconds ?? 0]),
      },
      {
        name: 'countersign fsck',
        form: 'line',
        points: growth.map(({ files, fsck }) => [files, fsck.seconds]),
      },
    ],
  });
}

const MINUTES_A_DAY = 24 * 60;
const STORM_AT_MINUTE = 120;

/** One day, by minute, and the same work in one go at night. `whole`: what all bins together come to, once. */
function dayPicture(title: string, unit: string, values: readonly number[], whole: number): string {
  const day = values.slice(-MINUTES_A_DAY);
  const storm = day.map((_, minute): [number, number] => [
    minute / 60,
    minute === STORM_AT_MINUTE ? whole : 1,
  ]);
  const top = 10 ** Math.ceil(Math.log10(whole));
  const ticks = Array.from({ length: Math.log10(top) + 1 }, (_, i) => 10 ** i);
  return svgChart({
    title: `${title}, over a day (note the logarithmic scale)`,
    x: { label: 'hour', ticks: [0, 4, 8, 12, 16, 20, 24], format: String },
    y: { label: unit, ticks, format: (value) => value.toLocaleString('en'), isLogarithmic: true },
    series: [
      {
        name: 'a nightly storm',
        form: 'area',
        points: storm.map(([hour, value]) => [hour, Math.max(1, value)]),
      },
      {
        name: 'countersign',
        form: 'area',
        points: day.map((value, minute) => [minute / 60, Math.max(1, value)]),
      },
    ],
  });
}

function niceStep(step: number): number {
  const magnitude = 10 ** Math.floor(Math.log10(step));
  return ([1, 2, 5, 10].find((factor) => factor * magnitude >= step) ?? 10) * magnitude;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function average(list: readonly number[]): number {
  return list.reduce((sum, value) => sum + value, 0) / Math.max(1, list.length);
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en');
}

function seconds(value: number | undefined): string {
  return value === undefined ? '–' : `${value.toFixed(1)} s`;
}

/** What a run had of the machine's processors. */
function share({ seconds: wall, cpuSeconds }: Taken): string {
  return cpuSeconds === undefined ? '–' : `${Math.round((cpuSeconds / wall / cpus().length) * 100)} %`;
}

function mb(value: number | undefined): string {
  return value === undefined ? '–' : `${count(value)} MB`;
}
