// Events against a list that is changed one statement at a time: the same outcome for every list of events, however
// it is cut into publications.
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { AcceptedEvent, Change, TargetChange } from '../../src/ledger/ledger.ts';
import { applyEvents } from '../../src/publish/apply-events.ts';
import { BinRoom, MAX_SIGNED_BYTES } from '../../src/publish/bin-room.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { canonicalJson } from '../../src/tuf/canonical-json.ts';
import type { TargetFile } from '../../src/tuf/metadata.ts';
import { NaiveCatalogue } from '../support/public-state.ts';
import { targetOf } from '../support/repository.ts';

/** Few paths and contents, so that events meet. */
const path = fc.constantFrom('a/1', 'a/2', 'b', 'c/d/e');
const target = fc.constantFrom('x', 'y').map(targetOf);
const change = fc.oneof(
  fc.record({ op: fc.constantFrom('add' as const, 'put' as const), path, target }),
  fc.record({ op: fc.constant('remove' as const), path }),
);
const lists = fc.array(fc.array(change, { minLength: 1, maxLength: 4 }), { maxLength: 12 });

function accepted(changes: readonly Change[], index: number): AcceptedEvent {
  return { id: `event ${index}`, position: index + 1, acceptedAt: 0, changes };
}

/** Carries out what a publication says it did, and checks that each statement fits what was there. */
function carryOut(catalogue: Map<string, TargetFile>, changes: readonly TargetChange[]): void {
  for (const { op, path: name, target: next, previous } of changes) {
    expect(catalogue.get(name)).toEqual(previous);
    expect(previous === undefined).toBe(op === 'added');
    expect(next === undefined).toBe(op === 'removed');
    if (next === undefined) catalogue.delete(name);
    else {
      expect(next).not.toEqual(previous);
      catalogue.set(name, next);
    }
  }
}

test('events do what a naive list does, and the same in one publication as in many', () => {
  fc.assert(
    fc.property(lists, fc.integer({ min: 1, max: 12 }), (events, size) => {
      const model = new NaiveCatalogue();
      const refused = events.flatMap((changes, index) => (model.apply(changes) ? [] : [index + 1]));
      const catalogue = new Map<string, TargetFile>();
      const rejected: number[] = [];
      const all = events.map(accepted);
      for (let at = 0; at < all.length; at += size) {
        const applied = applyEvents(all.slice(at, at + size), (name) => catalogue.get(name));
        rejected.push(...applied.rejected.map(({ position }) => position));
        const paths = applied.changes.map((one) => one.path);
        expect(paths).toEqual([...new Set(paths)].sort());
        carryOut(catalogue, applied.changes);
      }
      expect(rejected).toEqual(refused);
      for (const name of ['a/1', 'a/2', 'b', 'c/d/e']) expect(catalogue.get(name)).toEqual(model.get(name));
    }),
  );
});

test('the reason of a rejection names both sides', () => {
  const { rejected, changes } = applyEvents(
    [
      accepted([{ op: 'add', path: 'a', target: targetOf('x') }], 0),
      accepted(
        [
          { op: 'add', path: 'b', target: targetOf('x') },
          { op: 'add', path: 'a', target: targetOf('yy') },
        ],
        1,
      ),
      accepted([{ op: 'remove', path: 'b' }], 2),
    ],
    () => undefined,
  );
  expect(changes.map((one) => one.path)).toEqual(['a']);
  expect(rejected).toMatchObject([
    { position: 2, code: 'target-exists' },
    { position: 3, code: 'target-absent' },
  ]);
  expect(rejected[0]?.reason).toContain(targetOf('x').hashes.sha256);
  expect(rejected[0]?.reason).toContain(targetOf('yy').hashes.sha256);
});

test.each([0, 1])('a reason is whole characters, wherever custom data are cut (%i before)', (before) => {
  const custom = { note: 'x'.repeat(before) + '😀'.repeat(150) };
  const published = { ...targetOf('x'), custom };
  const event = accepted([{ op: 'add', path: 'a', target: { ...targetOf('y'), custom } }], 0);
  const { rejected } = applyEvents([event], () => published);
  // The reason is a part of the intent, whose digest is that of its canonical JSON: half a character has none.
  expect(() => canonicalJson(rejected[0]?.reason ?? null)).not.toThrow();
  expect(rejected).toMatchObject([{ code: 'target-exists' }]);
});

test('no list of events takes a bin beyond its limit, and what is smaller is never refused', () => {
  const layout = new BinLayout(2);
  const large = fc.record({
    op: fc.constant('put' as const),
    path: fc.integer({ min: 0, max: 20 }).map((n) => `p/${n}`),
    target: fc
      .integer({ min: 1, max: 400 })
      .map((n) => ({ ...targetOf('x'), custom: { note: 'z'.repeat(n) } })),
  });
  fc.assert(
    fc.property(fc.array(fc.array(large, { minLength: 1, maxLength: 3 }), { maxLength: 15 }), (events) => {
      const before = MAX_SIGNED_BYTES - 1000;
      const room = new BinRoom(layout, () => before);
      const { changes, rejected } = applyEvents(events.map(accepted), () => undefined, room);
      const grown = [0, 0];
      for (const { path: name, target: next } of changes) {
        const bin = layout.indexOf(name);
        const { custom, hashes, length } = next ?? targetOf('');
        const entry = `,"${name}":${JSON.stringify({ custom, hashes, length })}`;
        grown[bin] = (grown[bin] ?? 0) + entry.length;
      }
      expect(Math.max(...grown)).toBeLessThanOrEqual(1000);
      expect(rejected.every(({ code }) => code === 'metadata-too-large')).toBe(true);
      if (rejected.length > 0) return;
      expect(changes.length).toBe(new Set(events.flat().map((one) => one.path)).size);
    }),
  );
});
