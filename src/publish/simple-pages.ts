// Simple index pages that a publication renders (docs/adr/0023): which pages its events touch, what they say afterwards,
// and the objects that hold them. Everything about pages in a publication is here: ./batch.ts asks which paths to read,
// ./plan.ts and ./recover.ts what follows from the events, ./commit.ts writes the objects before the snapshot.
//
// May assume: a page that is in the batch was compared with the hash in its bin.
import { mapConcurrent } from '../lib/concurrency.ts';
import { equalBytes, sha256Hex } from '../lib/bytes.ts';
import { CountersignError, FatalError, hasCode, messageOf } from '../lib/errors.ts';
import type { AcceptedEvent, Rejection, TargetChange } from '../ledger/ledger.ts';
import { editPage, pageEntryBytes, readIndexPage, renderIndexPages } from '../simple/index-page.ts';
import { htmlPagePath, jsonPagePath, parsePagePath, projectOfFile } from '../simple/page-path.ts';
import { MAX_PAGE_BYTES, type ProjectPage } from '../simple/project-page.ts';
import type { ObjectStore } from '../storage/store.ts';
import { targetObjectName } from '../tuf/layout.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import type { Statement } from './apply-events.ts';

/** Pages written at once. */
const WRITES_IN_FLIGHT = 16;

/** The pages that a change of `path` changes too. */
export function pagesFor(path: string): readonly string[] {
  const project = projectOfFile(path);
  return project === undefined ? [] : [htmlPagePath(project), jsonPagePath(project)];
}

/**
 * The page that a bin names, from the store.
 * @throws CountersignError `bin-altered` when the object is not what was published: the events of this project wait.
 */
export async function loadPage(
  store: ObjectStore,
  path: string,
  { length, hashes }: TargetFile,
): Promise<ProjectPage> {
  const name = targetObjectName(path, hashes.sha256);
  const project = parsePagePath(path)?.project ?? '';
  try {
    const object = await store.get(name, length);
    if (object === undefined) throw new CountersignError('metadata-missing', 'it is not in the store');
    const sha256 = sha256Hex(object.bytes);
    if (sha256 !== hashes.sha256) {
      throw new CountersignError('length-or-hash-mismatch', `its sha256 is ${sha256}, its bin says another`);
    }
    return readIndexPage(project, object.bytes);
  } catch (error) {
    if (hasCode(error, 'store-unavailable') || !(error instanceof CountersignError)) throw error;
    throw new CountersignError(
      'bin-altered',
      `${name} in the store is not what was published (${messageOf(error)}); events for project ${project} wait ` +
        'until the object is restored',
      { cause: error, details: { object: name } },
    );
  }
}

/** A page as it is written, once. */
export interface PageObject {
  readonly name: string;
  readonly bytes: Uint8Array;
}

export interface PageInput {
  readonly events: readonly AcceptedEvent[];
  readonly rejected: readonly Rejection[];
  /** What the events change, without pages. */
  readonly changes: readonly TargetChange[];
  readonly lookup: (path: string) => Statement;
  /** Pages of the projects that events touch, by name, as they are before the publication. */
  readonly pages: ReadonlyMap<string, ProjectPage>;
  /** Version of the snapshot. */
  readonly snapshot: number;
  /** Time T, milliseconds since the epoch. */
  readonly now: number;
}

export interface PagesAfter {
  /** The changes of the events and those of the pages, one element a path, ascending. */
  readonly changes: readonly TargetChange[];
  readonly objects: readonly PageObject[];
}

/**
 * Pages after the events: each is brought in line with every path that an event names, also with one that the event
 * leaves as it was. So an index that switches pages on later sends its events again, and its pages fill.
 */
export function changePages(input: PageInput): PagesAfter {
  const { changes, lookup, pages, snapshot, now } = input;
  const pageChanges: TargetChange[] = [];
  const objects: PageObject[] = [];
  for (const [project, edits] of editsByProject(input)) {
    const before = pages.get(project);
    const after = editPage(project, before, edits, now);
    if (after === before) continue;
    const rendered = after === undefined ? [] : renderIndexPages(after, snapshot);
    for (const { path, bytes } of rendered) {
      const target = { length: bytes.length, hashes: { sha256: sha256Hex(bytes) } };
      const previous = lookup(path);
      objects.push({ name: targetObjectName(path, target.hashes.sha256), bytes });
      pageChanges.push(
        previous === undefined ? { op: 'added', path, target } : { op: 'replaced', path, target, previous },
      );
    }
    if (after !== undefined) continue;
    // The last file is gone: the project has no page, and an installer gets 404.
    for (const path of [htmlPagePath(project), jsonPagePath(project)]) {
      const previous = lookup(path);
      if (previous !== undefined) pageChanges.push({ op: 'removed', path, previous });
    }
  }
  const all = [...changes, ...pageChanges].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { changes: all, objects };
}

function editsByProject(input: PageInput): Map<string, Map<string, Statement>> {
  const refused = new Set(input.rejected.map(({ position }) => position));
  const after = new Map(input.changes.map(({ path, target }) => [path, target]));
  const edits = new Map<string, Map<string, Statement>>();
  for (const { position, changes } of input.events) {
    if (refused.has(position)) continue;
    for (const { path } of changes) {
      const project = projectOfFile(path);
      if (project === undefined) continue;
      const files = edits.get(project) ?? new Map<string, Statement>();
      edits.set(project, files.set(path, after.has(path) ? after.get(path) : input.lookup(path)));
    }
  }
  return edits;
}

/** How far each page may still grow: an event that takes it beyond what is read is refused before the commit point. */
export class PageRoom {
  readonly #pageBytes: (project: string) => number;
  readonly #bytes = new Map<string, number>();

  /** `pageBytes`: bytes of a project's JSON page before anything is applied. */
  constructor(pageBytes: (project: string) => number) {
    this.#pageBytes = pageBytes;
  }

  /**
   * Takes the room that the statements of one event need, all or none.
   * @throws CountersignError `metadata-too-large`; `path-forbidden` for an event that brings a page of its own.
   */
  take(statements: ReadonlyMap<string, Statement>): void {
    const growth = new Map<string, number>();
    for (const [path, target] of statements) {
      if (parsePagePath(path) !== undefined) {
        throw new CountersignError(
          'path-forbidden',
          `${path} is rendered by this service (simple-index: render); events carry files only`,
        );
      }
      const project = projectOfFile(path);
      if (project === undefined || target === undefined) continue;
      growth.set(project, (growth.get(project) ?? 0) + pageEntryBytes(path, target));
    }
    const sizes = [...growth].map(([project, bytes]) => {
      const size = (this.#bytes.get(project) ?? this.#pageBytes(project)) + bytes;
      if (size <= MAX_PAGE_BYTES) return [project, size] as const;
      throw new CountersignError(
        'metadata-too-large',
        `the page of ${project} would have ${size} bytes, at most ${MAX_PAGE_BYTES} are allowed`,
      );
    });
    for (const [project, size] of sizes) this.#bytes.set(project, size);
  }
}

/**
 * Creates the objects of pages, before anything names them. Idempotent.
 * @throws FatalError `immutable-conflict` when a name has other content than its hash says.
 */
export async function writePages(store: ObjectStore, objects: readonly PageObject[] = []): Promise<void> {
  await mapConcurrent(objects, WRITES_IN_FLIGHT, async ({ name, bytes }) => {
    if ((await store.putImmutable(name, bytes)) === 'created') return;
    const existing = await store.get(name, bytes.length).catch((error: unknown) => {
      if (hasCode(error, 'metadata-too-large')) return undefined;
      throw error;
    });
    if (existing !== undefined && equalBytes(existing.bytes, bytes)) return;
    throw new FatalError('immutable-conflict', `${name} exists in the store with other content`, {
      details: { object: name },
    });
  });
}
