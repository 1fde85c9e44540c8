// The parts of docs/interop.md that the interop run writes, between their marks; the rest is written by hand.
import { readFile, writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import process from 'node:process';
import { inCheckout } from './checkout.ts';
import { table } from './markdown-table.ts';
import { CHECKS, FORMATS, SIZES, type MatrixRow } from './matrix/matrix.ts';
import type { SpeedFigures } from './speed/speed.ts';

export const INTEROP_PAGE = 'docs/interop.md';

export type PagePart = 'matrix' | 'speed';

const begin = (part: PagePart): string => `<!-- ${part}: written by npm run test:interop -->`;
const end = (part: PagePart): string => `<!-- end of ${part} -->`;

/** Puts `text` between the marks of a part. */
export async function writePart(part: PagePart, text: string): Promise<void> {
  const file = inCheckout(INTEROP_PAGE);
  const page = await readFile(file, 'utf8');
  const [from, to] = [page.indexOf(begin(part)), page.indexOf(end(part))];
  if (from === -1 || to < from) throw new Error(`${INTEROP_PAGE} has no place for ${part}`);
  await writeFile(file, `${page.slice(0, from)}${begin(part)}\n\n${text}\n${page.slice(to)}`);
}

/** One table for each size and form. */
export function matrixText(rows: readonly MatrixRow[]): string {
  const tables = SIZES.flatMap((bins) =>
    FORMATS.map((format) => {
      const these = rows.filter((row) => row.bins === bins && row.format === format);
      const cells = these.map((row) => [row.client, ...CHECKS.map((check) => row.cells[check].words)]);
      return `### ${bins.toLocaleString('en')} bins, ${format}\n\n${table([['client', ...CHECKS], ...cells])}`;
    }),
  );
  return tables.join('\n');
}

export function speedText({ bins, targetsPerBin, bytes, processes, own, others }: SpeedFigures): string {
  const times = (ms: number | undefined, ownMs: number | undefined): string =>
    ms === undefined || ownMs === undefined ? '–' : (ms / ownMs).toFixed(1);
  const rows = [own, ...others].map(({ client, firstMs, laterMs, absent = '–' }) => [
    client,
    firstMs === undefined ? absent : duration(firstMs),
    times(firstMs, own.firstMs),
    laterMs === undefined ? '–' : duration(laterMs),
    times(laterMs, own.laterMs),
  ]);
  const size = `${bins.toLocaleString('en')} bins of ${targetsPerBin.toLocaleString('en')} targets`;
  const traffic = `${Math.round(bytes / 1000).toLocaleString('en')} kB`;
  const machine = `${cpus().length} cores, Node.js ${process.version}`;
  const text = `A refresh from nothing but the root and one look-up at ${size}, ${traffic} over HTTP on one machine (${machine}); the
start of the process is excluded. The first in a process loads and compiles code on the way. Medians of ${processes} processes of each
client, which took turns; tuf-js is asked once.
`;
  const header = ['client', 'first in a process', 'times ours', 'later ones', 'times ours'];
  return `${text}\n${table([header, ...rows])}`;
}

function duration(ms: number): string {
  return ms < 10_000 ? `${ms.toFixed(ms < 100 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
