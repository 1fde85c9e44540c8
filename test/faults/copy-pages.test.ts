// A repository whose pages are rendered moves: they come along, verified against their bins, wherever it is interrupted.
import { expect, test } from 'vitest';
import { copyStore } from '../../src/publish/copy-store.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { FaultyProcess, faultRows } from '../support/faulty-ports.ts';
import { memoryStore } from '../support/memory-store.ts';
import { expectSound } from '../support/oracle.ts';
import { accept, foundRepository, publishAll, targetOf, type TestRepository } from '../support/repository.ts';

async function renderedRepository(): Promise<TestRepository> {
  const repository = await foundRepository({ bins: 2, settings: { renderPages: true } });
  for (const name of ['demo-1.0-py3-none-any.whl', 'demo-2.0-py3-none-any.whl', 'other-1.0.tar.gz']) {
    repository.clock.advance(60_000);
    await accept(repository, [{ op: 'add', path: `packages/${name}`, target: targetOf(name) }]);
    await publishAll(repository);
  }
  return repository;
}

test('pages of every snapshot come along, and a second copy finds them there', async () => {
  const repository = await renderedRepository();
  const { store: from, clock, rootBytes, ledger } = repository;
  const to = memoryStore();
  // Three renderings in two forms.
  expect(await copyStore({ from, to, clock, trustedRoot: rootBytes })).toMatchObject({ pages: 6 });
  expect(to.names()).toEqual(from.names());
  await expectSound({ store: to, clock, rootBytes, ledger, renderedPages: true });
  expect(await copyStore({ from, to, clock })).toMatchObject({ copied: 0, pages: 6 });
});

test('an interruption at any write leaves pages for every bin that is there', async () => {
  const repository = await renderedRepository();
  const { store: from, clock, rootBytes } = repository;
  const undisturbed = new FaultyProcess();
  await copyStore({ from, to: undisturbed.store(memoryStore()), clock });
  for (const row of faultRows(undisturbed.counts, 0)) {
    const to = memoryStore();
    await expect(copyStore({ from, to: new FaultyProcess(row).store(to), clock })).rejects.toThrow();
    await copyStore({ from, to, clock });
    expect(to.names()).toEqual(from.names());
    await expectSound({ store: to, clock, rootBytes, renderedPages: true });
  }
});

test('an altered page is refused by its name; one that the index keeps itself is no page of the store', async () => {
  const repository = await renderedRepository();
  const { store: from, clock } = repository;
  const page = from.names().find((name) => /other\/.*json$/.test(name)) ?? '';
  const honest = (await from.get(page, 1e6))?.bytes ?? Buffer.of();
  from.tamper(page, Buffer.from(honest).fill(32, 10, 20));
  await expect(copyStore({ from, to: memoryStore(), clock })).rejects.toMatchObject({
    code: 'length-or-hash-mismatch',
    message: expect.stringContaining(page) as string,
  });
  from.tamper(page, undefined);
  expect(await copyStore({ from, to: memoryStore(), clock })).toMatchObject({ pages: 5 });
});

test('pages that were collected meanwhile are not asked for', async () => {
  const repository = await renderedRepository();
  const { store: from, clock, ledger, rootBytes } = repository;
  clock.advance(3_600_000);
  await accept(repository, [
    { op: 'add', path: 'packages/demo-3.0-py3-none-any.whl', target: targetOf('3') },
  ]);
  await publishAll(repository);
  clock.advance(3_600_000);
  const retention = { snapshotsMs: 1000, eventsMs: 1000, rendersPages: true };
  await collectGarbage({ history: ledger, store: from, clock, ...retention });
  const to = memoryStore();
  expect(await copyStore({ from, to, clock, trustedRoot: rootBytes })).toMatchObject({ pages: 4 });
  expect(to.names().filter((name) => name.startsWith('targets/'))).toEqual(
    from.names().filter((name) => name.startsWith('targets/')),
  );
  await expectSound({ store: to, clock, rootBytes, renderedPages: true });
});
