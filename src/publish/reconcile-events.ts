// The events that a restored ledger believes to be waiting. Most were published long ago; some were overtaken since by
// events that the ledger has lost, and carrying them out now would bring back what was replaced or removed.
import { CountersignError } from '../lib/errors.ts';
import type { AcceptedEvent, Change, Intent, Ledger, Rejection } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { BinDocument } from '../tuf/bin-document.ts';
import { versionedName } from '../tuf/layout.ts';
import { splitMetadataFile } from '../tuf/metadata-file.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { isSameTarget } from './reconcile-bins.ts';

/** Events looked at in one go; their bins are read once. */
const PAGE = 1000;

export interface WaitingEvents {
  readonly ledger: Pick<Ledger, 'read'>;
  readonly store: Pick<ObjectStore, 'get'>;
  readonly snapshot: SnapshotDocument;
  /** The bins that are public in a version that the ledger did not know; they were verified. */
  readonly changedBins: ReadonlySet<number>;
  /** Events accepted later than this came in after the ledger was restored: they wait like any other. */
  readonly publishedAt: number;
  /** The publication that the ledger was committed to when its backup was made. */
  readonly unfinished: Intent | undefined;
}

export interface SettledEvents {
  /** Positions of all that are settled, ascending, those that are rejected among them. */
  readonly events: readonly number[];
  readonly rejected: readonly Rejection[];
  /** Ids of the rejected ones, in the same order. */
  readonly superseded: readonly string[];
  /** How many go on waiting. */
  readonly waiting: number;
}

/** Decides about every event that waits. Whatever cannot be shown to be published, or untouched, is rejected. */
export async function settleWaiting(input: WaitingEvents): Promise<SettledEvents> {
  const decided = new Set(input.unfinished?.events);
  const refused = new Map(input.unfinished?.rejected.map((rejection) => [rejection.position, rejection]));
  const events: number[] = [];
  const rejected: Rejection[] = [];
  const superseded: string[] = [];
  let waiting = 0;
  for (let position = 0; ;) {
    const page = await input.ledger.read(position, PAGE);
    const bins = new PublicBins(input);
    for (const event of page) {
      const verdict = decided.has(event.position) ? 'published' : await judge(event, input, bins);
      const rejection = refused.get(event.position);
      if (verdict === 'waiting') waiting += 1;
      else events.push(event.position);
      if (rejection !== undefined) rejected.push(rejection);
      if (verdict === 'superseded') {
        rejected.push(rejectionOf(event, input.snapshot));
        superseded.push(event.id);
      }
    }
    const last = page.at(-1);
    if (last === undefined || page.length < PAGE) return { events, rejected, superseded, waiting };
    position = last.position;
  }
}

async function judge(
  { changes, acceptedAt }: AcceptedEvent,
  { snapshot, changedBins, publishedAt }: WaitingEvents,
  bins: PublicBins,
): Promise<'published' | 'waiting' | 'superseded'> {
  const touched = changes.some(({ path }) => changedBins.has(snapshot.layout.indexOf(path)));
  if (!touched || acceptedAt > publishedAt) return 'waiting';
  for (const change of changes) {
    if (!(await bins.shows(change))) return 'superseded';
  }
  return 'published';
}

function rejectionOf({ position, id }: AcceptedEvent, { version }: SnapshotDocument): Rejection {
  return {
    position,
    code: 'event-superseded',
    reason:
      `the ledger was restored from a backup, and event ${JSON.stringify(id)} is not what snapshot ${version} shows: it was ` +
      'rejected or overtaken by a later one then',
  };
}

/** The public bins of one page of events, read when they are asked for. */
class PublicBins {
  readonly #input: WaitingEvents;
  readonly #documents = new Map<number, BinDocument>();

  constructor(input: WaitingEvents) {
    this.#input = input;
  }

  /** Whether a change is what is public: a target with this content, or none. */
  async shows(change: Change): Promise<boolean> {
    const found = (await this.#document(this.#input.snapshot.layout.indexOf(change.path))).get(change.path);
    if (change.op === 'remove') return found === undefined;
    return found !== undefined && isSameTarget(found, change.target);
  }

  async #document(bin: number): Promise<BinDocument> {
    const known = this.#documents.get(bin);
    if (known !== undefined) return known;
    const { store, snapshot } = this.#input;
    const name = versionedName(snapshot.layout.name(bin), snapshot.versionOf(bin));
    const object = await store.get(name, MAX_METADATA_BYTES.targets);
    if (object === undefined) throw new CountersignError('metadata-missing', `${name} is not in the store`);
    const document = BinDocument.parse(splitMetadataFile(object.bytes).signed);
    this.#documents.set(bin, document);
    return document;
  }
}
