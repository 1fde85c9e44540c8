// Any sequence of operations leaves the ledger in the state that a few maps would be in.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Intent, Lease, TargetChange, UploadEvent } from '../../src/ledger/ledger.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { digests, event, intent, target } from '../support/ledger-fixtures.ts';

const holder = fc.constantFrom('a', 'b', 'c');
const operation = fc.oneof(
  fc.record({
    kind: fc.constant('append' as const),
    events: fc.array(
      fc.record({
        id: fc.constantFrom('e1', 'e2', 'e3', 'e4', 'e5', 'e6'),
        odd: fc.integer({ min: 0, max: 9 }),
      }),
      { maxLength: 3 },
    ),
  }),
  fc.record({
    kind: fc.constant('lease' as const),
    holder,
    ttlMs: fc.constantFrom(0, 10, 1_000),
    takeOverFrom: fc.option(holder, { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant('advance' as const),
    stale: fc.integer({ min: 0, max: 9 }),
    take: fc.integer({ min: 0, max: 4 }),
    reject: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant('finish' as const),
    path: fc.constantFrom('p', 'q'),
    content: fc.constantFrom('1', '2'),
  }),
  fc.record({ kind: fc.constant('prune' as const), back: fc.integer({ min: 0, max: 40 }) }),
);

interface ModelEvent {
  readonly event: UploadEvent;
  readonly position: number;
  readonly at: number;
  settled?: { readonly snapshot: number; readonly rejected: boolean };
}

interface ModelPublication {
  readonly intent: Intent;
  readonly changes: readonly TargetChange[];
  readonly finished: number;
  forgotten?: true;
}

/** What `src/ledger/ledger.ts` says, in the plainest form. */
class Model {
  events: ModelEvent[] = [];
  lease: Lease | undefined;
  publications: ModelPublication[] = [];
  unfinished: Intent | undefined;

  append(
    events: readonly UploadEvent[],
    now: number,
    positions: readonly number[] | undefined,
  ): string | undefined {
    const all = [...this.events.map((known) => known.event)];
    for (const one of events) {
      const known = all.find(({ id }) => id === one.id);
      if (known === undefined) all.push(one);
      else if (JSON.stringify(known) !== JSON.stringify(one)) return 'event-conflict';
    }
    events.forEach((one, index) => {
      if (this.events.some(({ event: known }) => known.id === one.id)) return;
      this.events.push({ event: one, position: positions?.[index] ?? -1, at: now });
    });
    return undefined;
  }

  request(by: string, ttlMs: number, now: number, takeOverFrom: string | undefined): string | undefined {
    const lease = this.lease;
    if (ttlMs === 0) {
      if (lease !== undefined && (lease.holder === by || lease.holder === takeOverFrom)) {
        this.lease = { ...lease, until: Math.min(lease.until, now) };
      }
      return undefined;
    }
    const free =
      lease === undefined ||
      [by, takeOverFrom].includes(lease.holder) ||
      lease.until <= now ||
      lease.until > now + 2 * ttlMs;
    if (!free) return 'lease-lost';
    const epoch = (lease?.epoch ?? 0) + (lease?.holder === by ? 0 : 1);
    this.lease = { holder: by, epoch, until: now + ttlMs };
    return undefined;
  }

  get head(): number {
    return this.unfinished?.snapshot ?? this.publications.length;
  }

  get pending(): ModelEvent[] {
    return this.events.filter(({ settled }) => settled === undefined);
  }

  finish(changes: readonly TargetChange[], now: number): void {
    const done = this.unfinished;
    if (done === undefined) return;
    for (const known of this.events) {
      if (!done.events.includes(known.position)) continue;
      const rejected = done.rejected.some(({ position }) => position === known.position);
      known.settled = { snapshot: done.snapshot, rejected };
    }
    const finished = Math.max(now, this.publications.at(-1)?.finished ?? 0);
    this.publications.push({ intent: done, changes, finished });
    this.unfinished = undefined;
  }

  prune(ms: number): number {
    const before = this.events.length;
    for (const publication of this.publications) {
      if (publication.finished >= ms || publication.forgotten) continue;
      publication.forgotten = true;
      this.events = this.events.filter(({ settled }) => settled?.snapshot !== publication.intent.snapshot);
    }
    return before - this.events.length;
  }
}

async function codeOf(work: Promise<unknown>): Promise<string | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    if (error instanceof CountersignError) return error.code;
    throw error;
  }
}

test('a ledger does what its model does', { timeout: 60_000 }, async () => {
  const steps = fc.array(fc.tuple(operation, fc.integer({ min: -3, max: 8 })), { maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(steps, async (sequence) => {
      const ledger = await openSqliteLedger(':memory:');
      const model = new Model();
      let now = 1_000;
      try {
        for (const [step, passes] of sequence) {
          now += passes;
          switch (step.kind) {
            case 'append': {
              const events = step.events.map(({ id, odd }) => event(id, odd === 0 ? 'other' : id));
              const sent = ledger.append(events, now);
              const code = await codeOf(sent);
              const positions = code === undefined ? (await sent).map(({ position }) => position) : undefined;
              expect(code).toBe(model.append(events, now, positions));
              break;
            }
            case 'lease': {
              const { holder: by, ttlMs, takeOverFrom } = step;
              const request = {
                holder: by,
                ttlMs,
                now,
                ...(takeOverFrom === undefined ? {} : { takeOverFrom }),
              };
              expect(await codeOf(ledger.lease(request))).toBe(model.request(by, ttlMs, now, takeOverFrom));
              break;
            }
            case 'advance': {
              const batch = model.pending.slice(0, step.take).map(({ position }) => position);
              const rejected = step.reject
                ? batch
                    .slice(0, 1)
                    .map((position) => ({ position, code: 'target-exists', reason: 'is there' }))
                : [];
              const planned = intent(model.head + (step.stale === 1 ? 2 : 1), { events: batch, rejected });
              const epoch = (model.lease?.epoch ?? 0) - (step.stale === 0 ? 1 : 0);
              const fenced = model.lease?.epoch !== epoch;
              const moved = model.unfinished !== undefined || step.stale === 1;
              expect(await codeOf(ledger.advance(epoch, planned))).toBe(
                fenced ? 'lease-lost' : moved ? 'head-moved' : undefined,
              );
              if (!fenced && !moved) model.unfinished = planned;
              break;
            }
            case 'finish': {
              const settled = model.unfinished ?? model.publications.at(-1)?.intent;
              if (settled === undefined) break;
              const changes: TargetChange[] = [
                { op: 'added', path: step.path, target: target(step.content) },
              ];
              await ledger.finish(settled, changes, digests(settled), now);
              model.finish(changes, now);
              break;
            }
            case 'prune':
              expect(await ledger.prune(now - step.back)).toBe(model.prune(now - step.back));
          }
          await agree();
        }
      } finally {
        await ledger.close();
      }

      async function agree(): Promise<void> {
        const { pending, publications, unfinished } = model;
        expect(await ledger.read(0, 100)).toEqual(
          pending.map(({ event: known, position, at }) => ({ ...known, position, acceptedAt: at })),
        );
        const oldest = pending.length === 0 ? {} : { oldestAcceptedAt: pending[0]!.at };
        expect(await ledger.backlog()).toEqual({ events: pending.length, ...oldest });
        expect(await ledger.currentLease()).toEqual(model.lease);
        const head = await ledger.head();
        expect(head?.snapshot ?? 0).toBe(model.head);
        expect(head?.unfinished).toEqual(unfinished);
        const states = await ledger.events(['e1', 'e2', 'e3', 'e4', 'e5', 'e6']);
        expect(Object.fromEntries([...states].map(([id, { state }]) => [id, state.state]))).toEqual(
          Object.fromEntries(
            model.events.map(({ event: { id }, settled }) => [
              id,
              settled === undefined ? 'accepted' : settled.rejected ? 'rejected' : 'published',
            ]),
          ),
        );
        const forgotten = publications.filter((publication) => publication.forgotten).length;
        expect(await ledger.changes(forgotten, 100)).toEqual(
          publications.slice(forgotten).map(({ intent: { snapshot, at, bins }, changes }) => ({
            snapshot,
            at,
            bins,
            changes,
          })),
        );
        if (forgotten > 0) expect(await codeOf(ledger.changes(forgotten - 1, 1))).toBe('changes-expired');
        const byNow = publications.findLast(({ finished }) => finished <= now)?.intent.snapshot;
        if (byNow === undefined || byNow >= forgotten) expect(await ledger.snapshotAt(now)).toBe(byNow);
      }
    }),
    { numRuns: 150 },
  );
});
