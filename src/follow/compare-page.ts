// What a page of the index says now against what it said before: pure.
import { entryOfClaim } from '../backsign/claim.ts';

/** A file as the index names it, with everything that is signed. */
export interface FollowedFile {
  /** The target path. */
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
}

export interface KnownFile extends FollowedFile {
  /** The page did not name it the last time: it waits for its removal. */
  readonly missing: boolean;
}

/** A file on a page, unchecked. */
export interface PageFile {
  /** Below the prefix. */
  readonly path: string;
  readonly length?: number;
  readonly sha256?: string;
  /** Why it cannot be signed, as far as the reading of the page found. */
  readonly problem?: string;
  /** The problem may be over when the file is asked for again. */
  readonly mayPass?: true;
}

/** A change of one target path, as `POST /v1/events` takes it. */
export interface FollowEvent {
  readonly op: 'add' | 'put' | 'remove';
  readonly path: string;
  readonly length?: number;
  readonly sha256?: string;
}

export interface Refusal {
  readonly path: string;
  readonly reason: string;
}

/** What a page means for the state, */
export interface PageRecord {
  /** To be remembered: new ones, those whose content changed, and those that are back before they were removed. */
  readonly files: readonly FollowedFile[];
  readonly events: readonly FollowEvent[];
  /** Paths that the page named before. */
  readonly gone: readonly string[];
  readonly refused: readonly Refusal[];
}

export interface CompareOptions {
  /** Stands before every path. */
  readonly prefix: string;
  /** A file whose content changed is signed anew; otherwise it is refused: published files do not change. */
  readonly replace: boolean;
}

/** The events that make the signed targets say what the page says, and what cannot be signed. */
export function comparePage(
  before: ReadonlyMap<string, KnownFile>,
  page: readonly PageFile[],
  { prefix, replace }: CompareOptions,
): PageRecord {
  const files: FollowedFile[] = [];
  const events: FollowEvent[] = [];
  const refused: Refusal[] = [];
  const named = new Map<string, FollowedFile | string>();
  for (const claim of page) {
    const path = prefix + claim.path;
    named.set(path, agreed(named.get(path), checked(claim, prefix)));
  }
  for (const [path, file] of named) {
    const known = before.get(path);
    if (typeof file === 'string') refused.push({ path, reason: file });
    else if (known === undefined) {
      files.push(file);
      events.push({ op: 'add', ...file });
    } else if (isSame(known, file)) {
      if (known.missing) files.push(file);
    } else if (replace) {
      files.push(file);
      events.push({ op: 'put', ...file });
    } else {
      refused.push({ path, reason: `its content changed: ${content(known)} before, ${content(file)} now` });
    }
  }
  const gone = [...before.keys()].filter((path) => !named.has(path));
  return { files, events, gone, refused };
}

function checked({ path, length, sha256, problem }: PageFile, prefix: string): FollowedFile | string {
  if (problem !== undefined) return problem;
  const entry = entryOfClaim({ path, length, sha256 }, prefix);
  if (typeof entry === 'string') return entry;
  return { path: entry.path, length: Number(length), sha256: String(sha256) };
}

/** What two lines of a page say about one path. */
function agreed(one: FollowedFile | string | undefined, other: FollowedFile | string): FollowedFile | string {
  if (one === undefined || typeof one === 'string') return one ?? other;
  if (typeof other === 'string' || isSame(one, other)) return other;
  return `the page names it twice: ${content(one)} and ${content(other)}`;
}

function isSame(a: FollowedFile, b: FollowedFile): boolean {
  return a.length === b.length && a.sha256 === b.sha256;
}

function content({ length, sha256 }: FollowedFile): string {
  return `length ${length}, sha256 ${sha256}`;
}
