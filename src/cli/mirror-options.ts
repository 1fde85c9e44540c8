// The options of countersign mirror, read into settings.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { selectionOf, type SelectionRules } from '../client/mirror/selection.ts';
import { parseStore, type StoreSetting } from '../config/backends.ts';
import { parseDuration } from '../lib/duration.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { MirrorSettings } from '../open-mirror.ts';

export interface MirrorOptions {
  readonly metadataUrl?: string;
  readonly root?: string;
  readonly to?: string;
  readonly targets?: true;
  readonly targetBaseUrl?: string;
  readonly state?: string;
  readonly jobs?: string;
  readonly grace?: string;
  readonly watch?: true;
  readonly interval?: string;
  readonly stream?: string | false;
  readonly project?: readonly string[];
  readonly projects?: string;
  readonly excludeProject?: readonly string[];
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly youngerThan?: string;
  readonly publishIncomplete?: true;
  readonly metrics?: string;
  readonly metricsFile?: string;
}

export const DEFAULT_JOBS = 16;
export const DEFAULT_GRACE = '24h';
export const DEFAULT_INTERVAL = '1m';

/** More requests at once than this help nobody, and hurt upstream. */
const MAX_JOBS = 256;

/** @throws CountersignError `usage`. */
export async function mirrorSettings(options: MirrorOptions, cwd: string): Promise<MirrorSettings> {
  const metadataUrl = httpAddress(options.metadataUrl, '--metadata-url');
  const rules = await selectionRules(options, cwd);
  const filtered = Object.keys(rules).length > 0;
  if (options.targets !== true && (filtered || options.targetBaseUrl !== undefined)) {
    throw new CountersignError(
      'usage',
      'filters and --target-base-url need --targets: without it only metadata are mirrored',
    );
  }
  return {
    metadataUrl,
    rootBytes: await readRootFile(options.root, cwd),
    to: storePlace(options.to, cwd),
    stateDirectory: options.state === undefined ? undefined : path.resolve(cwd, options.state),
    ...(options.targets === true && {
      targets: {
        baseUrl: httpAddress(options.targetBaseUrl, '--target-base-url'),
        selection: selectionOf(rules),
      },
    }),
    jobs: jobsOf(options.jobs),
    graceMs: durationOf(options.grace ?? DEFAULT_GRACE, '--grace'),
    publishIncomplete: options.publishIncomplete === true,
  };
}

async function selectionRules(options: MirrorOptions, cwd: string): Promise<SelectionRules> {
  const { project = [], projects, excludeProject = [], include = [], exclude = [], youngerThan } = options;
  const listed = projects === undefined ? [] : await readNames(path.resolve(cwd, projects));
  for (const pattern of [...include, ...exclude]) checkPattern(pattern);
  return {
    ...((project.length > 0 || projects !== undefined) && { projects: [...project, ...listed] }),
    ...(excludeProject.length > 0 && { excludedProjects: excludeProject }),
    ...(include.length > 0 && { include }),
    ...(exclude.length > 0 && { exclude }),
    ...(youngerThan !== undefined && { youngerThanMs: durationOf(youngerThan, '--younger-than') }),
  };
}

/** One name a line; empty lines and those that begin with # say nothing. */
async function readNames(file: string): Promise<string[]> {
  let text;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new CountersignError('usage', `--projects ${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
  const names = text.split('\n').map((line) => line.trim());
  return names.filter((name) => name !== '' && !name.startsWith('#'));
}

function checkPattern(pattern: string): void {
  const segments = pattern.split('/');
  const stars = segments.filter((segment) => segment === '**').length;
  const wrong = segments.some((segment) => segment === '' || (segment.includes('**') && segment !== '**'));
  if (!wrong && stars <= 2) return;
  throw new CountersignError(
    'usage',
    `pattern ${JSON.stringify(pattern)}: "*" is within a segment, "**" stands alone between slashes, twice at most`,
  );
}

export function storePlace(value: string | undefined, cwd: string): StoreSetting {
  if (value === undefined)
    throw new CountersignError('usage', '--to is missing: a directory, or s3://BUCKET/PREFIX');
  const uri = /^(?:file|s3):/.test(value) ? value : `file:${path.resolve(cwd, value)}`;
  return parseStore({ value: uri, source: '--to' }, cwd);
}

export async function readRootFile(file: string | undefined, cwd: string): Promise<Uint8Array> {
  if (file === undefined) {
    throw new CountersignError('usage', '--root is missing: the root file that the index gave you');
  }
  try {
    return await readFile(path.resolve(cwd, file));
  } catch (cause) {
    throw new CountersignError('usage', `--root ${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

export function httpAddress(value: string | undefined, option: string): string {
  if (value === undefined) throw new CountersignError('usage', `${option} is missing`);
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return value;
  throw new CountersignError('usage', `${option} ${value} is not an http or https URL`);
}

function jobsOf(text: string | undefined): number {
  const jobs = text === undefined ? DEFAULT_JOBS : Number(text);
  if (Number.isInteger(jobs) && jobs >= 1 && jobs <= MAX_JOBS) return jobs;
  throw new CountersignError('usage', `--jobs ${String(text)} is not a whole number from 1 to ${MAX_JOBS}`);
}

export function durationOf(text: string, option: string): number {
  try {
    return parseDuration(text);
  } catch (cause) {
    throw new CountersignError('usage', `${option}: ${messageOf(cause)}`, { cause });
  }
}
