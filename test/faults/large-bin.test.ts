// A bin has a size at which clients stop reading it. The event that would take it there is refused, alone and before
// anything is committed: afterwards no publication could be completed any more.
import { expect, test } from 'vitest';
import { MAX_METADATA_BYTES } from '../../src/tuf/metadata-limits.ts';
import type { Change } from '../../src/ledger/ledger.ts';
import { accept, foundRepository, publishAll, targetOf } from '../support/repository.ts';
import { publicState } from '../support/public-state.ts';

/** Statements of some 5 KB each, all of them about bin `bin` of two. */
function largeChanges(indexOf: (path: string) => number, bin: number, tag: string, count: number): Change[] {
  const changes: Change[] = [];
  for (let i = 0; changes.length < count; i++) {
    const path = `${tag}/${i}/${'x'.repeat(900)}`;
    if (indexOf(path) !== bin) continue;
    changes.push({ op: 'add', path, target: { ...targetOf(path), custom: { note: 'y'.repeat(4000) } } });
  }
  return changes;
}

test('an event that would make a bin too large is rejected alone', async () => {
  const repository = await foundRepository({ bins: 2 });
  const { ledger, layout, store } = repository;
  const indexOf = (path: string): number => layout.indexOf(path);
  await accept(repository, largeChanges(indexOf, 0, 'a', 500), 'first half');
  await accept(repository, largeChanges(indexOf, 0, 'b', 480), 'second half');
  await accept(repository, largeChanges(indexOf, 0, 'c', 500), 'too much');
  await accept(repository, largeChanges(indexOf, 1, 'd', 3), 'other bin');
  await publishAll(repository);
  await accept(repository, largeChanges(indexOf, 0, 'e', 500), 'still too much');
  const [gone] = largeChanges(indexOf, 0, 'a', 1);
  await accept(repository, [{ op: 'remove', path: gone?.path ?? '' }], 'smaller');
  await publishAll(repository);

  const ids = ['first half', 'second half', 'too much', 'other bin', 'still too much', 'smaller'];
  const receipts = await ledger.events(ids);
  expect(ids.map((id) => receipts.get(id)?.state.state)).toEqual([
    'published',
    'published',
    'rejected',
    'published',
    'rejected',
    'published',
  ]);
  expect(receipts.get('too much')?.state).toMatchObject({ code: 'metadata-too-large' });
  const { targets } = await publicState(store, repository.ports);
  expect(Object.keys(targets)).toHaveLength(982);
  for await (const { name, size } of store.list('metadata/')) {
    expect(size, name).toBeLessThanOrEqual(MAX_METADATA_BYTES.targets);
  }
});
