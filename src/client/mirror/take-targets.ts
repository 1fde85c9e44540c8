// The target files of one role: what its new file names and its former one did not is fetched, hashed on its way, and
// has its name only when it is right. What is no longer named is told to the journal, and stays for now.
import { mapConcurrent, type Lanes } from '../../lib/concurrency.ts';
import { CountersignError, hasCode, type ErrorCode } from '../../lib/errors.ts';
import type { LargeObjects } from '../../storage/large-objects.ts';
import { HashCheck } from '../roles/file-reference.ts';
import { placeOf } from '../roles/role-file.ts';
import type { Target, TargetsFile } from '../roles/targets-file.ts';
import type { JournalEntry, MirrorJournal } from '../../storage/mirror-journal.ts';
import { checkNotEnded } from './ended.ts';
import { objectNameProblem, targetObjects } from './object-names.ts';
import type { ReachedRole } from './role-walk.ts';
import type { Selection } from './selection.ts';
import type { Upstream } from './upstream.ts';

/** Files of one role that wait for a lane at once. */
const IN_LINE = 64;

/** A target file that metadata names and that could not be had. */
export interface TargetProblem {
  readonly path: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** What was taken when a role was taken last. */
export interface TakenBefore {
  readonly file: TargetsFile;
  readonly selection: Selection;
  /** Whether the same delegations led to the role: otherwise files that it named may be missing. */
  readonly sameScope: boolean;
  readonly at: number;
}

export interface TargetPorts {
  /** Absent: no target files are kept. */
  readonly files: LargeObjects | undefined;
  readonly upstream: Upstream;
  readonly journal: MirrorJournal;
  /** Shared by all roles in hand. */
  readonly lanes: Lanes;
  readonly observe: { stored(bytes: number): void };
  /** Ends the sync in hand. */
  readonly signal: AbortSignal;
}

export interface TakenTargets {
  /** For the record that says that the role is held. */
  readonly entry: JournalEntry;
  readonly problems: readonly TargetProblem[];
}

/** Makes every selected target file of `file` present. @throws CountersignError `upstream-unavailable`, `store-unavailable`. */
export async function takeTargets(
  ports: TargetPorts,
  reached: ReachedRole,
  file: TargetsFile,
  before: TakenBefore | undefined,
  { selection, at }: Pick<TakenBefore, 'selection' | 'at'>,
): Promise<TakenTargets> {
  if (before !== undefined && saysTheSame(before, file, selection)) return { entry: {}, problems: [] };
  const had = new Set<string>();
  for (const target of before?.file.targets() ?? []) {
    if (before?.selection.wants(target, before.at) === true)
      targetObjects(target).forEach((name) => had.add(name));
  }
  const fetched: Target[] = [];
  const named = new Set<string>();
  for (const target of file.targets()) {
    if (!selection.wants(target, at) || !reached.covers(target.path)) continue;
    const objects = targetObjects(target);
    for (const name of objects) named.add(name);
    if (before?.sameScope !== true || objects.some((name) => !had.has(name))) fetched.push(target);
  }
  // If this process ends before the role is held, nobody else remembers these files: they are doomed until then.
  const coming = fetched.flatMap(targetObjects);
  if (coming.length > 0) ports.journal.record([{ superseded: coming }]);
  const problems = await takeAll(ports, fetched);
  const superseded = [...had].filter((name) => !named.has(name));
  return { entry: { superseded, needed: coming }, problems };
}

/** A renewal changes version and expiry only: nothing to compare, a thousand times for each bin a day. */
function saysTheSame(before: TakenBefore, file: TargetsFile, selection: Selection): boolean {
  const [was, is] = [before.file.ownEntries, file.ownEntries];
  return (
    before.sameScope &&
    before.selection.text === selection.text &&
    !selection.byAge &&
    was !== undefined &&
    is !== undefined &&
    Buffer.compare(was, is) === 0
  );
}

async function takeAll(ports: TargetPorts, targets: readonly Target[]): Promise<TargetProblem[]> {
  const problems: TargetProblem[] = [];
  await mapConcurrent(targets, IN_LINE, (target) =>
    ports.lanes.run(async () => {
      try {
        checkNotEnded(ports.signal);
        await takeFile(ports, target);
      } catch (error) {
        if (!isOfTheFile(error)) throw error;
        problems.push({ path: target.path, code: error.code, message: error.message });
      }
    }),
  );
  return problems;
}

/** One file that is wrong is no reason to stop; a full disk or a dead line is. */
function isOfTheFile(error: unknown): error is CountersignError {
  return hasCode(
    error,
    'not-found',
    'length-or-hash-mismatch',
    'metadata-invalid',
    'metadata-too-large',
    'path-forbidden',
  );
}

async function takeFile({ files, upstream, observe, signal }: TargetPorts, target: Target): Promise<void> {
  if (files === undefined) return;
  for (const name of targetObjects(target)) {
    const problem = objectNameProblem(name);
    if (problem !== undefined) {
      throw new CountersignError('path-forbidden', `target ${placeOf(target.path)} ${problem}`);
    }
    // What an interrupted run left is hashed again, not believed.
    if (await isPresent(files, name, target)) continue;
    await upstream.target(target, (body) =>
      files.write(name, target.length, verifiedBody(target, untilEnded(body, signal))),
    );
    observe.stored(target.length);
  }
}

/** A file may have gigabytes, and nobody who ends a sync waits for them. */
async function* untilEnded(body: AsyncIterable<Uint8Array>, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    checkNotEnded(signal);
    yield chunk;
  }
}

/** Whether a file is there and is the one that metadata name. */
export async function isPresent(
  files: Pick<LargeObjects, 'size' | 'read'>,
  name: string,
  target: Target,
): Promise<boolean> {
  if ((await files.size(name)) !== target.length) return false;
  try {
    const body = verifiedBody(target, files.read(name));
    while ((await body.next()).done !== true);
    return true;
  } catch (error) {
    if (hasCode(error, 'length-or-hash-mismatch', 'not-found')) return false;
    throw error;
  }
}

/**
 * TUF 5.7.2: the bytes as they come, and an error in the place of their end when they are not those of the target.
 * @throws CountersignError `length-or-hash-mismatch`.
 */
export async function* verifiedBody(
  { path, length, hashes }: Target,
  body: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  const check = new HashCheck(placeOf(path), hashes);
  const wrong = (actual: string): CountersignError =>
    new CountersignError(
      'length-or-hash-mismatch',
      `${placeOf(path)} has ${actual} bytes, signed metadata says ${length}`,
    );
  let received = 0;
  for await (const chunk of body) {
    received += chunk.length;
    // "Endless data attack": no more than the length that is signed is ever taken.
    if (received > length) throw wrong(`more than ${length}`);
    check.update(chunk);
    yield chunk;
  }
  if (received !== length) throw wrong(String(received));
  check.finish();
}
