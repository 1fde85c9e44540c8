// One run of back-signing from its sources to an order: what it is about is written down first, so that a run that was
// killed goes on with the same sources, and never with others.
import * as fs from 'node:fs';
import { CountersignError } from '../lib/errors.ts';
import type { Crew } from './crew.ts';
import { prepare, type Prepared } from './prepared.ts';
import { readSources, type ReadState } from './read-sources.ts';
import { openDirectory } from './sources/directory.ts';
import { openListFile } from './sources/list-file.ts';
import type { Source } from './sources/source.ts';
import type { WorkFolder } from './work-folder.ts';

const RUN_NAME = 'run.json';

/** Where statements come from, as the operator gave it. */
export interface SourceSetting {
  readonly kind: 'list' | 'directory';
  readonly name: string;
  /** Absolute. */
  readonly path: string;
  /** `_last-serial` of an index: the state that was read. */
  readonly serial?: number;
}

export interface RunSettings {
  readonly sources: readonly SourceSetting[];
  /** Stands before each path. */
  readonly prefix: string;
  readonly binCount: number;
  readonly strict: boolean;
  /** The snapshot that was current when the run began; 0 before the first. */
  readonly since: number;
}

/** As written down: with what tells a list from another one that has taken its place. */
interface RecordedRun extends RunSettings {
  readonly identities: readonly (string | null)[];
}

export interface Phases {
  readonly reading: (doneBytes: number, totalBytes: number) => void;
  readonly sorting: (done: number, total: number) => void;
}

export interface PreparedRun {
  readonly settings: RunSettings;
  readonly read: ReadState;
  readonly prepared: Prepared;
}

/** Whether a run was begun in a folder. */
export function isBegun(folder: WorkFolder): boolean {
  return fs.existsSync(folder.file(RUN_NAME));
}

/** Writes down what a new run is about. */
export function beginRun(folder: WorkFolder, settings: RunSettings): void {
  const recorded: RecordedRun = { ...settings, identities: settings.sources.map(identityOf) };
  folder.write(RUN_NAME, recorded);
}

/**
 * The settings of a run that was begun.
 * @throws CountersignError `backsign-state` when there is none, or a list was replaced before it was read to its end.
 */
export function begunRun(folder: WorkFolder): RunSettings {
  const recorded = folder.read<RecordedRun>(RUN_NAME);
  if (recorded === undefined) {
    throw new CountersignError('backsign-state', `there is no run in ${folder.path} to go on with`);
  }
  const { identities, ...settings } = recorded;
  if (folder.read<ReadState>('read.json')?.complete === true) return settings;
  for (const [i, source] of settings.sources.entries()) {
    if (identityOf(source) === identities[i]) continue;
    throw new CountersignError(
      'backsign-state',
      `${source.name} is not the one that the run in ${folder.path} began with: begin again in a new folder`,
    );
  }
  return settings;
}

/** Reads and sorts what is not read and sorted yet. @throws as `readSources` and `prepare`. */
export async function prepareRun(folder: WorkFolder, crew: Crew, phases: Phases): Promise<PreparedRun> {
  const settings = begunRun(folder);
  const { prefix, binCount, strict } = settings;
  const done = folder.read<ReadState>('read.json');
  const sources: Source[] = [];
  // What was read to its end may be gone.
  if (done?.complete !== true) for (const source of settings.sources) sources.push(await openSource(source));
  const read = await readSources({
    folder,
    sources,
    prefix,
    binCount,
    strict,
    crew,
    progress: phases.reading,
  });
  const prepared = await prepare(folder, read, binCount, crew, phases.sorting);
  return { settings, read, prepared };
}

function openSource({ kind, path, name }: SourceSetting): Promise<Source> {
  return kind === 'list' ? openListFile(path, name) : openDirectory(path, name);
}

/** A directory is known by its name alone: its files are what is looked at. */
function identityOf({ kind, path }: SourceSetting): string | null {
  if (kind === 'directory') return null;
  const stat = fs.statSync(path, { throwIfNoEntry: false });
  return stat === undefined ? null : `${stat.size} ${stat.mtimeMs}`;
}
