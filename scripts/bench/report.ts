// docs/performance.md, from the figures of one run.
import { cpus, release, totalmem, type } from 'node:os';
import process from 'node:process';
import { boundsOf, isKept, peerRatios, type Figures } from './figures.ts';
import { median, percentile } from './load.ts';

/** The page. `at`: when the run was made, milliseconds since the epoch. */
export function performancePage(figures: Figures, at: number): string {
  const { index, peer, batchSize, latencyMs } = figures;
  const ratios = peerRatios(figures);
  const ratio = (value: number | undefined): string =>
    value === undefined ? 'not measured' : `${value.toFixed(1)} ×`;
  const files = (index.bins * index.targetsPerBin).toLocaleString('en');
  return `# Performance

Every number on this page was written by \`npm run bench\` on ${new Date(at).toISOString().slice(0, 10)}; nothing is edited by hand. Absolute
figures differ from machine to machine and from hour to hour: compare the ratios, which come from one run.

## Repeat it

\`npm run bench\` builds a model index the first time (${index.buildSeconds.toFixed(0)} s, 4 GB, kept in \`\${XDG_CACHE_HOME:-~/.cache}/countersign/bench\`),
measures, writes this page and ends with status 1 when a promised bound is missed, naming it. It needs 16 GB of free disk
space, \`python3\` for the peer, and a machine that does nothing else. \`npm run bench -- --quick\` does everything on
1,024 bins of 100 targets in half a minute, checks no bound and leaves this page alone. Wait six minutes between two
runs: ext4 without a journal looks at every recently deleted inode again when it makes a new file, and a run deletes tens
of thousands. Before anything is measured, free memory is touched once, which takes a minute in a virtual machine that has
just been started (\`scripts/bench/touch-memory.ts\` says why), and the service has published five batches.

## What it was measured on

| what    | value |
| ------- | ----- |
| machine | ${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB of memory |
| system  | ${type()} ${release()} |
| Node.js | ${process.version} |
| index   | ${index.bins.toLocaleString('en')} bins, ${index.targetsPerBin.toLocaleString('en')} targets in each on average: ${files} target files with paths of 115 bytes |
| keys    | Ed25519, in the process |
| store   | files, each with fsync before the timestamp that reaches it |
| ledger  | SQLite, WAL, synchronous=FULL |

The service is \`countersign serve\`, a process of its own, with default settings (bins live for ten years, so that an
index from the cache has no renewals to catch up with). All load comes over HTTP on the loopback interface, from another
process on the same machine. Every event adds one new file, so bins are hit at random and read from disk. Nothing is
left out: each bin is verified before it is edited, each signature is verified before it is written.

## What is promised

| promise | found | bound | kept |
| ------- | ----- | ----- | ---- |
${boundsOf(figures)
  .map((bound) => {
    const { name, unit, value, limit, kind } = bound;
    const found = value === undefined ? 'not measured' : `${rounded(value)} ${unit}`;
    const kept = value === undefined ? '–' : isKept(bound) ? 'yes' : '**no**';
    return `| ${name} | ${found} | ${kind} ${rounded(limit)} ${unit} | ${kept} |`;
  })
  .join('\n')}

- **One event at a time**: the next event is sent when the snapshot with the one before is public (\`Prefer: wait\`).
- **Events in one batch**: one request with ${batchSize.toLocaleString('en')} events, from its first byte to the answer that all are published.
- **Intake**: events that were answered 202, durable in the ledger, while the publisher works on those before.
- **Public after their 202**: 50 events a second arrive singly; from the answer to the moment at which \`timestamp.json\`
  in the store names the snapshot with the event.
- **Memory**: the most that the process ever had resident, over all of this.

## Single figures

| figure | runs | median | lowest | highest |
| ------ | ---- | ------ | ------ | ------- |
${spread('publications/s, one event at a time', figures.single)}
${spread(`events/s, batches of ${batchSize}`, figures.batch)}
${spread('events/s accepted', figures.intake)}
${spread('ms until ready', figures.startMs)}

| from 202 to public | ms |
| ------------------ | -- |
${[0.5, 0.9, 0.99, 1].map((share) => `| ${share * 100} % of events within | ${percentile(latencyMs, share).toFixed(0)} |`).join('\n')}

## Against the peer

${
  peer === undefined
    ? 'python-tuf could not be installed where this page was written: the peer was not measured.'
    : `The peer is RSTUF's worker: its steps for the same kind of events on bins of the same index, done with python-tuf
${peer.version} and an Ed25519 key (\`scripts/bench/peer.py\`). Only its own work is counted: no broker, no database, no HTTP, no fsync and
no check of what it reads, all of which are in countersign's figures.

| work | countersign | peer | ratio |
| ---- | ----------- | ---- | ----- |
| one event at a time | ${rounded(median(figures.single))}/s | ${rounded(1 / median(peer.single))}/s | ${ratio(ratios?.single)} |
| ${batchSize} events in one batch | ${rounded(median(figures.batch))}/s | ${rounded(batchSize / median(peer.batches))}/s | ${ratio(ratios?.batch)} |`
}

## What a client pays

A first refresh that begins with nothing but the root, and the look-up of one target file in a bin of 1,000. The same
files for every client, uncompressed, over HTTP from the same machine; medians of five. \`own\` is the verification code
of countersign.

| bins | snapshot | all files | own | python-tuf | tuf-js |
| ---- | -------- | --------- | --- | ---------- | ------ |
${figures.clients
  .map(
    ({ bins, snapshotBytes, bytes, ownMs, pythonMs, tufJsMs }) =>
      `| ${bins.toLocaleString('en')} | ${kb(snapshotBytes)} | ${kb(bytes)} | ${ms(ownMs)} | ${ms(pythonMs)} | ${ms(tufJsMs)} |`,
  )
  .join('\n')}

tuf-js is measured to 1,024 bins only: its time grows with the square of their number.
`;
}

function spread(name: string, values: readonly number[]): string {
  const [lowest, highest] = [Math.min(...values), Math.max(...values)];
  return `| ${name} | ${values.length} | ${rounded(median(values))} | ${rounded(lowest)} | ${rounded(highest)} |`;
}

/** Three digits that mean something. */
export function rounded(value: number): string {
  return value >= 100 ? Math.round(value).toLocaleString('en') : value.toFixed(value >= 10 ? 0 : 1);
}

function kb(bytes: number): string {
  return `${rounded(bytes / 1000)} KB`;
}

function ms(value: number | undefined): string {
  return value === undefined ? '–' : `${rounded(value)} ms`;
}
