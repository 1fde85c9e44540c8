// Which target files a mirror keeps. The metadata are always kept whole: what is left out can be told from what never
// was. A selection is a text that can be written down and read again, so that a change of it is noticed.
import { CountersignError } from '../../lib/errors.ts';
import { normalizeProjectName, parseFileName } from '../../simple/project-name.ts';
import { matchesPattern } from '../roles/path-pattern.ts';
import type { Target } from '../roles/targets-file.ts';

export interface SelectionRules {
  /** Normalized names; absent: every project. Files of no project that is known by name are left out then. */
  readonly projects?: readonly string[];
  readonly excludedProjects?: readonly string[];
  /** Patterns of paths, as delegations have them, and `**` for any number of segments; absent: every path. */
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** Milliseconds since the upload that `custom["upload-time"]` (PEP 700) tells; files without it count as new. */
  readonly youngerThanMs?: number;
}

export interface Selection {
  /** Says the same for the same selection. */
  readonly text: string;
  /** True: what is kept changes as time goes by, without a change of the metadata. */
  readonly byAge: boolean;
  /** Whether a file is kept, decided at `now`, milliseconds since the epoch. */
  wants(target: Target, now: number): boolean;
}

/** Metadata only. */
export const NO_TARGETS: Selection = { text: '"none"', byAge: false, wants: () => false };

export function selectionOf(rules: SelectionRules): Selection {
  const projects = rules.projects && new Set(rules.projects.map(normalized));
  const excluded = new Set((rules.excludedProjects ?? []).map(normalized));
  const { include, exclude = [], youngerThanMs } = rules;
  return {
    text: JSON.stringify({
      ...(projects && { projects: [...projects].sort() }),
      ...(excluded.size > 0 && { excludedProjects: [...excluded].sort() }),
      ...(include && { include: [...include].sort() }),
      ...(exclude.length > 0 && { exclude: [...exclude].sort() }),
      ...(youngerThanMs !== undefined && { youngerThanMs }),
    }),
    byAge: youngerThanMs !== undefined,
    wants: (target, now) => {
      const { path } = target;
      if (include !== undefined && !include.some((pattern) => matches(path, pattern))) return false;
      if (exclude.some((pattern) => matches(path, pattern))) return false;
      if (projects !== undefined || excluded.size > 0) {
        const project = projectOf(target);
        if (projects !== undefined && (project === undefined || !projects.has(project))) return false;
        if (project !== undefined && excluded.has(project)) return false;
      }
      return youngerThanMs === undefined || (uploadedAt(target) ?? now) >= now - youngerThanMs;
    },
  };
}

/** A selection that was written down. @throws CountersignError `mirror-state-invalid`. */
export function parseSelection(text: string): Selection {
  if (text === NO_TARGETS.text) return NO_TARGETS;
  try {
    return selectionOf(JSON.parse(text) as SelectionRules);
  } catch (cause) {
    throw new CountersignError(
      'mirror-state-invalid',
      `the journal holds no selection: ${text.slice(0, 100)}`,
      {
        cause,
      },
    );
  }
}

/** What the file's custom data say, else what its name says. */
function projectOf({ path, custom }: Target): string | undefined {
  const said = custom?.['project'];
  if (typeof said === 'string') return normalized(said);
  const page = PAGE.exec(path)?.[1];
  if (page !== undefined) return normalized(page);
  return parseFileName(path.slice(path.lastIndexOf('/') + 1).replace(BESIDE, ''))?.project;
}

/** A page of the simple index (PEP 503). */
const PAGE = /(?:^|\/)simple\/([^/]+)\/[^/]+$/;

/** What stands beside a file: a signature, core metadata (PEP 658), provenance (PEP 740). */
const BESIDE = /\.(?:asc|metadata|provenance)$/;

function normalized(name: string): string {
  return normalizeProjectName(name) ?? name;
}

/** Milliseconds since the epoch. */
function uploadedAt({ custom }: Target): number | undefined {
  const said = custom?.['upload-time'];
  const time = typeof said === 'string' ? Date.parse(said) : Number.NaN;
  return Number.isNaN(time) ? undefined : time;
}

/** As in delegations, where `*` is within a segment; `**` as a segment stands for any number of them, also for none. */
function matches(path: string, pattern: string): boolean {
  const start = pattern.indexOf('**');
  if (start === -1) return matchesPattern(path, pattern);
  const segments = path.split('/');
  const head = pattern.slice(0, start).split('/').slice(0, -1);
  const rest = pattern.slice(start + 3);
  if (head.length > segments.length) return false;
  if (head.length > 0 && !matchesPattern(segments.slice(0, head.length).join('/'), head.join('/')))
    return false;
  for (let at = head.length; at < segments.length; at++) {
    if (rest === '' || matches(segments.slice(at).join('/'), rest)) return true;
  }
  return false;
}
