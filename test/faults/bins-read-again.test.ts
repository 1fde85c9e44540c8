// A large publication cannot keep all of its bins between the look before the commit point and the edit after it. What
// is read a second time must be what was read the first time, to the byte: only then does what is known of it hold.
import { expect, test } from 'vitest';
import { BinWork, type BinsToWrite } from '../../src/publish/bin-desk.ts';
import { readPublicState } from '../../src/publish/public-state.ts';
import { publicBin } from '../../src/publish/verified-reads.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { BinDocument } from '../../src/tuf/bin-document.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { formatExpires } from '../../src/tuf/lifetimes.ts';
import { splitMetadataFile } from '../../src/tuf/metadata-file.ts';
import { accept, foundRepository, publishAll, targetOf, type TestRepository } from '../support/repository.ts';

/** Paths of bin 0 of two that begin with `start`. */
function paths(start: string, count: number): string[] {
  const layout = new BinLayout(2);
  const all = Array.from({ length: 20 * count }, (_, i) => `${start}/${i}`);
  return all.filter((path) => layout.indexOf(path) === 0).slice(0, count);
}

const OLD_PATHS = paths('old', 40);
const [CHANGED = ''] = OLD_PATHS;
const [FIRST = ''] = paths('first', 1);
const [LAST = ''] = paths('zzz', 1);

interface Scene {
  readonly repository: TestRepository;
  readonly work: BinWork;
  readonly plan: BinsToWrite;
  readonly name: string;
}

/** A bin of 40 targets, looked at by somebody who keeps nothing; and the edit that follows. */
async function lookedAt(): Promise<Scene> {
  const repository = await foundRepository({ bins: 2 });
  await accept(
    repository,
    OLD_PATHS.map((path) => ({ op: 'add', path, target: targetOf(path) })),
  );
  await publishAll(repository);
  const { store, ledger, signer, clock } = repository;
  const { published } = await readPublicState(ledger, store);
  const bin = publicBin(published, 0);
  const work = new BinWork({ store, roles: published.roles, signers: { signer } }, 0);
  const [look] = await work.look([{ ...bin, paths: [CHANGED, FIRST] }]);
  expect(look).toMatchObject({ statements: [targetOf(CHANGED), undefined] });
  const at = clock.now();
  const edits = new Map([FIRST, CHANGED, LAST].map((path) => [path, targetOf(`new ${path}`)]));
  const expires = formatExpires(at + 86_400_000);
  const plan = { bins: [{ ...bin, next: bin.version + 1, edits }], at, expires };
  return { repository, work, plan, name: `metadata/${bin.version}.${repository.layout.name(0)}.json` };
}

async function read(store: ObjectStore, name: string): Promise<Uint8Array> {
  const object = await store.get(name, 1_000_000);
  if (object === undefined) throw new Error(`${name} is missing`);
  return object.bytes;
}

test('a bin that is the same is edited as if it had been kept', async () => {
  const { repository, work, plan, name } = await lookedAt();
  const { roles } = (await readPublicState(repository.ledger, repository.store)).published;
  await work.write(roles, plan);
  const next = name.replace(/\d+/, (version) => String(Number(version) + 1));
  const written = BinDocument.parse(splitMetadataFile(await read(repository.store, next)).signed);
  const wanted = new Map(OLD_PATHS.map((path) => [path, targetOf(path)]));
  for (const [path, target] of plan.bins[0]?.edits ?? []) if (target !== undefined) wanted.set(path, target);
  expect(new Map(written.entries())).toEqual(wanted);
});

test.each([
  // What was known of its places would still fit.
  ['in one digit', (bytes: Buffer) => bytes.write('f', bytes.indexOf('"sha256":"') + 10)],
  ['so that its paths have other places', (bytes: Buffer) => bytes.write('-', bytes.indexOf(CHANGED) + 3)],
])('a bin that was altered meanwhile, %s, is not edited', async (_, alter) => {
  const { repository, work, plan, name } = await lookedAt();
  const { store } = repository;
  const { roles } = (await readPublicState(repository.ledger, store)).published;
  const bytes = Buffer.from(await read(store, name));
  const before = bytes.toString('latin1');
  alter(bytes);
  expect(bytes.toString('latin1')).not.toBe(before);
  store.tamper(name, bytes);
  await expect(work.write(roles, plan)).rejects.toMatchObject({ code: 'bin-altered' });
  const next = name.replace(/\d+/, String(plan.bins[0]?.next));
  expect(await store.get(next, 1_000_000)).toBeUndefined();
});
