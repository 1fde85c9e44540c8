// Every client against repositories that the built service publishes: each size, each form of delegation. A cell is a
// run, or says why there is none.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { systemClock } from '../../../src/lib/clock.ts';
import { CLIENTS, type ClientKind, type InteropClient } from '../clients.ts';
import type { Component } from '../components.ts';
import { Installation, makeUploads, type Format, type Service, type Upload } from '../installation.ts';
import { rotateRoot } from '../next-root.ts';
import { checkLookups } from '../python-tuf.ts';
import { plain } from '../plain-words.ts';

export const SIZES = [16, 256, 16_384] as const;
export const FORMATS: readonly Format[] = ['succinct', 'prefixes'];
export const CHECKS = ['refresh', 'download', 'root rotation', 'expired'] as const;
type Check = (typeof CHECKS)[number];

/** How many bins tuf-js, quadratic in them, and tough, which downloads every one each time, read in reasonable time. */
const LARGE = 4_096;

/** Milliseconds for a client that downloads every bin of a large repository; it takes many minutes. */
const EVERY_BIN_MS = 60_000;

const DAY_MS = 86_400_000;

export interface MatrixRow {
  readonly client: string;
  readonly bins: number;
  readonly format: Format;
  readonly cells: Readonly<Record<Check, Cell>>;
}

/** `passed: false` with words that do not begin with "not run" or "not done" is a failure. */
export interface Cell {
  readonly passed: boolean;
  readonly words: string;
}

const PASSED: Cell = { passed: true, words: 'yes' };

function notRun(why: string): Cell {
  return { passed: false, words: `not run: ${why}` };
}

export interface Contender {
  readonly kind: ClientKind;
  readonly component: Component;
}

/** Installs what is not there. */
export async function contenders(): Promise<Contender[]> {
  const installed: Contender[] = [];
  for (const kind of CLIENTS) installed.push({ kind, component: await kind.install() });
  return installed;
}

export interface RepositoryResult {
  readonly rows: readonly MatrixRow[];
  /** One line of what else was seen. */
  readonly detail: string;
}

/** One repository, all clients. `python`: with python-tuf, for a thousand look-ups. */
export async function checkRepository(
  folder: string,
  bins: number,
  format: Format,
  clients: readonly Contender[],
  python: string | undefined,
): Promise<RepositoryResult> {
  const installation = await Installation.found(path.join(folder, `${format}-${bins}`), bins, format);
  const service = await installation.serve();
  try {
    const uploads = makeUploads(1_000, '1.0');
    await service.publish(uploads);
    const detail =
      python === undefined ? 'no look-ups' : await checkLookups({ python }, installation, service, uploads);
    const [upload] = uploads;
    if (upload === undefined) throw new Error('nothing was uploaded');
    const meetings: Meeting[] = [];
    for (const contender of clients) {
      meetings.push(await meet(contender, { installation, service, bins, format, upload }));
    }
    const root = await rotateRoot(installation);
    const rows: MatrixRow[] = [];
    for (const { contender, client, cells } of meetings) {
      const rotation = await guarded(contender, bins, format, 'root rotation', async () => {
        if (client === undefined) throw new Error('it could not be opened');
        const trusted = await client.refresh();
        if (trusted.root !== root)
          throw new Error(`it trusts root ${trusted.root}, root ${root} is published`);
        return PASSED;
      });
      rows.push({
        client: contender.kind.name,
        bins,
        format,
        cells: { ...cells, 'root rotation': rotation },
      });
    }
    if (bins <= 256) await installation.fsck(service.url);
    await installation.fsck();
    return { rows, detail: `${detail}, fsck sound` };
  } finally {
    await service.stop();
  }
}

interface Ground {
  readonly installation: Installation;
  readonly service: Service;
  readonly bins: number;
  readonly format: Format;
  readonly upload: Upload;
}

interface Meeting {
  readonly contender: Contender;
  readonly client: InteropClient | undefined;
  readonly cells: Omit<MatrixRow['cells'], 'root rotation'>;
}

async function meet(contender: Contender, ground: Ground): Promise<Meeting> {
  const { kind, component } = contender;
  const { installation, service, bins, format, upload } = ground;
  const directory = path.join(installation.folder, 'clients', kind.name.replaceAll(/[^\w.]+/g, '-'));
  const open = (name: string): Promise<InteropClient> =>
    kind.open(component.program ?? '', {
      rootFile: installation.root,
      metadataUrl: `${service.url}/metadata`,
      targetsUrl: `${service.url}/targets`,
      directory: path.join(directory, name),
      ...(bins > LARGE && kind.name.startsWith('tuftool') ? { callMs: EVERY_BIN_MS } : {}),
    });
  const client = component.program === undefined ? undefined : await open('first');
  const check = (name: Check, work: (it: InteropClient) => Promise<Cell>): Promise<Cell> =>
    guarded(contender, bins, format, name, () =>
      client === undefined ? Promise.resolve(PASSED) : work(client),
    );
  const refresh = await check('refresh', async (it) => {
    const begun = systemClock.now();
    const { snapshot } = await it.refresh();
    const seconds = ((systemClock.now() - begun) / 1000).toFixed(1);
    const { published } = await service.status();
    if (snapshot !== published.snapshot.version) {
      throw new Error(`it trusts snapshot ${snapshot}, ${published.snapshot.version} is published`);
    }
    return { passed: true, words: `${seconds} s` };
  });
  const download = await check('download', async (it) => {
    const content = await readFile(await it.download(upload.path), 'utf8');
    if (content !== upload.content) throw new Error('the file is another one');
    return PASSED;
  });
  const expired = await check('expired', async () => {
    const late = await open('late');
    const refusal = await late.refresh(systemClock.now() + 3 * DAY_MS).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );
    if (refusal === undefined) throw new Error('it accepts what has expired');
    if (!/expired/i.test(refusal)) throw new Error(refusal);
    return { passed: true, words: 'refused' };
  });
  return { contender, client, cells: { refresh, download, expired } };
}

function notDone(bins: number, kind: ClientKind): string {
  if (bins <= LARGE || !kind.name.startsWith('tuftool')) return 'killed: it did not end';
  return `not done after ${EVERY_BIN_MS / 1000} s: it downloads every bin`;
}

async function guarded(
  { kind, component }: Contender,
  bins: number,
  format: Format,
  check: Check,
  work: () => Promise<Cell>,
): Promise<Cell> {
  if (component.program === undefined) return notRun('it could not be installed');
  if (!kind.formats.includes(format)) return notRun('it does not read this form');
  if (bins > LARGE && kind.name.startsWith('tuf-js')) return notRun('minutes for one refresh, see "Speed"');
  if (bins > LARGE && check !== 'refresh' && kind.name.startsWith('tuftool')) {
    return notRun('it downloads every bin again');
  }
  try {
    return await work();
  } catch (error) {
    const words = error instanceof Error ? error.message : String(error);
    if (words.includes('ended with SIGKILL')) return { passed: false, words: notDone(bins, kind) };
    return { passed: false, words: plain(words) };
  }
}

/** What did not pass and was to run. */
export function failures({ client, cells }: MatrixRow): string[] {
  return CHECKS.flatMap((check) => {
    const { passed, words } = cells[check];
    return passed || /^not (?:run|done)/.test(words) ? [] : [`${client}, ${check}: ${words}`];
  });
}
