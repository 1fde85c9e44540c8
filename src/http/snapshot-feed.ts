// What each snapshot changed, in order, as two routes tell it: read in small pages, so that memory stays bounded
// however far behind a reader is.
import { Type } from 'typebox';
import type { History, SnapshotChanges, TargetChange } from '../ledger/ledger.ts';
import { CountersignError } from '../lib/errors.ts';
import type { PublisherStatus } from '../publish/status.ts';
import { TargetSchema } from './event-schema.ts';
import { ProblemError, requestInvalid } from './problem.ts';

/** Snapshots in one page: a large one names 16,384 bins and as many targets as publish.max-events allows. */
const PAGE = 4;

const listed = Type.Object({ path: Type.String(), ...TargetSchema.properties });

export const SnapshotChangesSchema = Type.Object(
  {
    snapshot: Type.Integer({ description: 'Version of the snapshot' }),
    at: Type.String({ description: 'Time of the publication' }),
    bins: Type.Array(Type.Object({ name: Type.String(), version: Type.Integer() }), {
      description: 'Bins with a new version',
    }),
    added: Type.Array(listed),
    replaced: Type.Array(listed),
    removed: Type.Array(Type.String({ description: 'Target path' })),
  },
  {
    description: 'What one snapshot changed',
    examples: [
      {
        snapshot: 412,
        at: '2027-03-01T09:30:00.000Z',
        bins: [{ name: 'bin-0a3f', version: 12 }],
        added: [],
        replaced: [],
        removed: ['packages/sampleproject-3.0.0b1.tar.gz'],
      },
    ],
  },
);

export const VERSION_PATTERN = '^(0|[1-9]\\d{0,14})$';

/** The newest finished snapshot. @throws CountersignError `not-bootstrapped`. */
export async function latestSnapshot(history: History): Promise<number> {
  const head = await history.head();
  const finished = head?.unfinished === undefined ? head?.snapshot : head.snapshot - 1;
  if (finished === undefined || finished === 0) {
    throw new CountersignError('not-bootstrapped', 'nothing is published yet');
  }
  return finished;
}

/**
 * Checks that everything after snapshot `after` can still be told.
 * @throws ProblemError `changes-expired`, `request-invalid` when `after` is in the future, `not-bootstrapped`.
 */
export async function checkStart(history: History, after: number): Promise<void> {
  const latest = await latestSnapshot(history);
  if (after > latest) throw requestInvalid(`snapshot ${after} is newer than the latest, ${latest}`);
  if (after === latest) return;
  const [first] = await history.changes(after, 1);
  if (first?.snapshot !== after + 1) throw expired(after);
}

/**
 * The snapshots after `after` that are finished now, oldest first.
 * @throws ProblemError `changes-expired` when they were forgotten meanwhile.
 */
export async function* snapshotsAfter(history: History, after: number): AsyncGenerator<SnapshotChanges> {
  for (let last = after; ;) {
    const page = await history.changes(last, PAGE);
    for (const changes of page) {
      if (changes.snapshot !== last + 1) throw expired(last);
      yield changes;
      last = changes.snapshot;
    }
    if (page.length < PAGE) return;
  }
}

/** One snapshot's changes as a line of JSON, without the line end. */
export function changesLine(changes: SnapshotChanges, status: PublisherStatus): string {
  const layouts = status.published?.layouts;
  if (layouts === undefined) throw new CountersignError('not-bootstrapped', 'the bins are not known yet');
  const nameOf = (bin: number): string | undefined => layouts.find((layout) => layout.has(bin))?.name(bin);
  const of = (op: TargetChange['op']): TargetChange[] => changes.changes.filter((change) => change.op === op);
  const told = ({ path, target }: TargetChange): object => ({ path, ...target });
  return JSON.stringify({
    snapshot: changes.snapshot,
    at: new Date(changes.at).toISOString(),
    bins: changes.bins.flatMap(({ bin, version }) => {
      const name = nameOf(bin);
      return name === undefined ? [] : [{ name, version }];
    }),
    added: of('added').map(told),
    replaced: of('replaced').map(told),
    removed: of('removed').map(({ path }) => path),
  });
}

function expired(after: number): ProblemError {
  return new ProblemError('changes-expired', `the changes after snapshot ${after} are no longer kept`);
}
