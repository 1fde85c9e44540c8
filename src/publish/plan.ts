// A publication before it happens: which bins get which version, what is rejected, when everything expires. Pure:
// the same head, events and time give the same plan, to the byte.
//
// May assume: every statement that `lookup` gives was verified. Next: ./commit.ts
import type { AcceptedEvent, BinVersion, Head, Intent, TargetChange } from '../ledger/ledger.ts';
import { formatExpires } from '../tuf/lifetimes.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { PAGE_FORM } from '../simple/index-page.ts';
import { jsonPagePath } from '../simple/page-path.ts';
import type { ProjectPage } from '../simple/project-page.ts';
import { applyEvents, type Room, type Statement } from './apply-events.ts';
import { BinRoom } from './bin-room.ts';
import type { Lifetimes } from './settings.ts';
import { changePages, PageRoom, pagesFor, type PageObject } from './simple-pages.ts';

export interface PlanInput {
  readonly head: Head;
  /** The snapshot of the head. */
  readonly snapshot: SnapshotDocument;
  readonly events: readonly AcceptedEvent[];
  /** What the snapshot says about each path that an event names. */
  readonly lookup: (path: string) => Statement;
  /** Bytes of the signed part of a bin that an event touches. */
  readonly sizeOf: (bin: number) => number;
  /** Pages of the projects that events touch; absent where none are rendered. */
  readonly pages?: ReadonlyMap<string, ProjectPage>;
  /** Bins to be signed again because their time has come. */
  readonly renewals: readonly number[];
  /** Time T, milliseconds since the epoch; not before the head's. */
  readonly now: number;
  readonly lifetimes: Lifetimes;
  /** Ids of the online keys that sign the bins. */
  readonly keyids: readonly string[];
}

export interface Plan {
  readonly intent: Intent;
  readonly changes: readonly TargetChange[];
  /** Pages to be written before the snapshot. */
  readonly pages?: readonly PageObject[];
}

export function plan(input: PlanInput): Plan {
  const { head, snapshot, events, lookup, pages, now, lifetimes } = input;
  const { layout } = snapshot;
  const applied = applyEvents(events, lookup, roomFor(input));
  const { rejected } = applied;
  const after =
    pages === undefined
      ? undefined
      : changePages({ events, ...applied, lookup, pages, snapshot: head.snapshot + 1, now });
  const { changes } = after ?? applied;
  const touched = new Set([...changes.map(({ path }) => layout.indexOf(path)), ...input.renewals]);
  const bins = [...touched]
    .sort((a, b) => a - b)
    .map((bin): BinVersion => ({ bin, version: snapshot.versionOf(bin) + 1 }));
  const intent: Intent = {
    snapshot: head.snapshot + 1,
    timestamp: head.timestamp + 1,
    at: now,
    expires: expiresAt(now, lifetimes),
    roles: head.roles,
    events: events.map(({ position }) => position),
    rejected,
    bins,
    keyids: input.keyids,
    ...(after === undefined || events.length === 0 ? {} : { pages: PAGE_FORM }),
  };
  return { intent, changes, ...(after === undefined ? {} : { pages: after.objects }) };
}

/** In bins, and on pages where they are rendered. */
function roomFor({ snapshot, sizeOf, pages, lookup }: PlanInput): Room {
  if (pages === undefined) return new BinRoom(snapshot.layout, sizeOf);
  const bins = new BinRoom(snapshot.layout, sizeOf, pagesFor);
  const room = new PageRoom((project) => lookup(jsonPagePath(project))?.length ?? 0);
  return {
    take: (statements, before) => {
      room.take(statements);
      bins.take(statements, before);
    },
  };
}

/** The `expires` of everything that is signed at time `now`. */
export function expiresAt(now: number, { timestampMs, snapshotMs, binMs }: Lifetimes): Intent['expires'] {
  return {
    timestamp: formatExpires(now + timestampMs),
    snapshot: formatExpires(now + snapshotMs),
    bin: formatExpires(now + binMs),
  };
}
