// The part of docs/performance.md that `npm run bench:stack` writes, between marks that `npm run bench` leaves alone.
import { median, percentile } from '../load.ts';
import { rounded } from '../report.ts';
import type { OpenLoopResult } from './open-loop.ts';

export interface StackFigures {
  readonly bins: number;
  readonly targetsPerBin: number;
  /** Milliseconds added to each request to the S3 server. */
  readonly delayMs: number;
  readonly copySeconds: number;
  readonly startMs: number;
  /** Publications a second, each event sent when the one before is public. */
  readonly oneByOne: readonly number[];
  readonly singles: OpenLoopResult & { readonly perSecond: number };
  readonly sustained: OpenLoopResult & { readonly perSecond: number; readonly seconds: number };
  /** Events a second while a backlog is worked off, each run. */
  readonly backlog: readonly number[];
  readonly peakMb: number | undefined;
}

const BEGIN = '<!-- Written by `npm run bench:stack`, and kept by `npm run bench`. -->';
const END = '<!-- The end of what `npm run bench:stack` writes. -->';

const PROMISED_PER_SECOND = 500;
const PROMISED_MS = 400;

/** The page with this part in the place of the one it has, or at its end. */
export function withStackPart(page: string, part: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) return `${page.trimEnd()}\n\n${part}`;
  return page.slice(0, begin) + part.trimEnd() + page.slice(end + END.length);
}

/** That part of a page; empty when it has none. */
export function stackPartOf(page: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  return begin < 0 || end < begin ? '' : page.slice(begin, end + END.length);
}

/** What is promised and was not found, in words. */
export function missedByStack(figures: readonly StackFigures[]): string[] {
  return figures.flatMap(({ bins, targetsPerBin, singles, sustained, backlog }) => {
    const index = `${bins} bins of ${targetsPerBin}`;
    // Both must do: what is sustained under a steady load, and what a backlog is worked off with.
    const least = Math.min(sustained.eventsPerSecond, median(backlog));
    const late = percentile(singles.latencyMs, 0.95);
    return [
      ...(least < PROMISED_PER_SECOND
        ? [`${index}: ${rounded(least)} events/s, at least ${PROMISED_PER_SECOND}`]
        : []),
      ...(late > PROMISED_MS
        ? [`${index}: 95 % public within ${rounded(late)} ms, at most ${PROMISED_MS}`]
        : []),
    ];
  });
}

export interface Circumstances {
  readonly date: string;
  readonly machine: string;
  /** Processes that wanted a processor in the minute before. */
  readonly load: number;
}

export function stackPart(figures: readonly StackFigures[], { date, machine, load }: Circumstances): string {
  const [first] = figures;
  const busy =
    load < 1
      ? ''
      : `, **which other work kept busy (load ${rounded(load)} before the run began): expect more of a machine of its own**`;
  const head = figures.map(
    ({ bins, targetsPerBin }) => `${bins.toLocaleString('en')} × ${targetsPerBin.toLocaleString('en')}`,
  );
  const row = (name: string, value: (of: StackFigures) => string): string =>
    `| ${name} | ${figures.map(value).join(' | ')} |`;
  const ms = (value: number): string => (Number.isFinite(value) ? `${rounded(value)} ms` : 'too many wait');
  return `${BEGIN}

## On PostgreSQL, S3 and OpenBao

Written by \`npm run bench:stack\` on ${date}, on ${machine}${busy}. The ledger is PostgreSQL, the store an S3 server
(SeaweedFS) behind a proxy that adds ${first?.delayMs ?? 0} ms to each request, the key comes from OpenBao (\`vault-kv:\`, Ed25519) and
signs in the process. The index was moved there with \`countersign copy\`.

All servers, the proxy, the service and the load share this one machine, so a request to the S3 server costs its
processors twice. Measured apart, a bin of 223 KB takes 1.5 ms of processor time in the service and 1.0 ms in the server
to read, 1.9 ms and 3.2 ms to write: beside signing and verifying, two cores cannot do more than some 200 such bins a
second, and at 16,384 bins nearly every event has a bin of its own. A smaller index, or a server on another machine, has
no such limit; the round trips alone would allow thousands of events a second in batches.

| bins × targets in each | ${head.join(' | ')} |
| --- | ${head.map(() => '---').join(' | ')} |
${[
  row('target files', ({ bins, targetsPerBin }) => (bins * targetsPerBin).toLocaleString('en')),
  row('start until ready', ({ startMs }) => ms(startMs)),
  row('one event at a time', ({ oneByOne }) => `${rounded(median(oneByOne))}/s`),
  row(`single events, ${first?.singles.perSecond ?? 0} a second: 50 % public within`, ({ singles }) =>
    ms(percentile(singles.latencyMs, 0.5)),
  ),
  row('95 % public within', ({ singles }) => ms(percentile(singles.latencyMs, 0.95))),
  row('99 % public within', ({ singles }) => ms(percentile(singles.latencyMs, 0.99))),
  row(
    `${first?.sustained.perSecond ?? 0} events a second offered: published a second`,
    ({ sustained: { eventsPerSecond, seconds } }) => `${rounded(eventsPerSecond)} (${seconds} s)`,
  ),
  row('meanwhile 95 % public within', ({ sustained }) => ms(percentile(sustained.latencyMs, 0.95))),
  row('events a second from a backlog', ({ backlog }) => rounded(median(backlog))),
  row('memory, highest', ({ peakMb }) => (peakMb === undefined ? '–' : `${rounded(peakMb)} MB`)),
  row('moving the index there', ({ copySeconds }) => `${rounded(copySeconds)} s`),
].join('\n')}

- **Public within** is counted from the request to the answer that its event is public (\`Prefer: wait\`), so the event's
  own way into the ledger is in it. The first line above is a closed loop, all others send at their times.
- **Published a second** is counted while requests keep coming, from the first publication after a third of the time to
  the last one: what still waits when the load ends is not waited for.
- Promised: at least ${PROMISED_PER_SECOND} events a second, and 95 % of single events public within ${PROMISED_MS} ms.

${END}
`;
}
