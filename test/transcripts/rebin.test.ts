// Another number of bins as an operator asks for it: looked at first, then imported, without a service.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { generateKeyFile } from '../../src/signing/key-file.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { serializeBundle } from '../../src/tuf/bundle.ts';
import { runInProcess, type CommandOutcome } from '../support/cli-command.ts';
import { nextBundle } from '../support/next-ceremony.ts';
import { makeOfflineKeys, targetOf, testBundle } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';

const PASSPHRASE = 'seven words that nobody would ever guess';

const command = (cwd: string, ...args: readonly string[]): Promise<CommandOutcome> =>
  runInProcess(cwd, { COUNTERSIGN_SIGNER_PASSPHRASE: PASSPHRASE }, args);

test('4 bins become 16', { timeout: 180_000 }, async () => {
  const cwd = await tempDir();
  const key = { path: join(cwd, 'online.key'), passphrase: PASSPHRASE };
  await generateKeyFile({ ...key, algorithm: 'ed25519' });
  const signer = await openFileSigner(key);
  const offlineKeys = await makeOfflineKeys(1);
  const now = systemClock.now();
  const plan = { offlineKeys, signer, layout: new BinLayout(4), format: 'succinct', now } as const;
  const bundle = await testBundle(plan);
  await writeFile(join(cwd, 'bundle.json'), serializeBundle(bundle));
  expect(await command(cwd, 'bootstrap', 'bundle.json')).toMatchObject({ status: 0 });
  const ledger = await openSqliteLedger(join(cwd, 'ledger.db'));
  const changes = Array.from({ length: 100 }, (_, n) => ({
    op: 'add' as const,
    path: `packages/${n}.whl`,
    target: targetOf(`${n}`),
  }));
  await ledger.append([{ id: 'uploads', changes }], now);
  expect(await command(cwd, 'renew')).toMatchObject({ status: 0 });

  const ceremony = { now, online: [signer], root: false, targets: false, binCount: 16 };
  await writeFile(join(cwd, 'next.json'), serializeBundle(await nextBundle(bundle, offlineKeys, ceremony)));
  const dry = await command(cwd, 'import', 'next.json', '--dry-run');
  expect(dry).toMatchObject({ status: 0, err: '' });
  const lines = dry.out.split('\n');
  expect(lines.slice(0, 2)).toEqual(['would publish: bins 1 → 2', '4 bins bin-… become 16 bins bin2-…']);
  expect(lines[2]).toMatch(/^ {2}a bin {6}[\d.]+ K?B now \(largest [\d.]+ K?B\), [\d.]+ K?B then/);
  expect(lines[4]).toMatch(/ in 2 publications, uploads in between$/);
  expect(await ledger.openOrders()).toEqual([]);
  const json = JSON.parse((await command(cwd, 'import', 'next.json', '--dry-run', '--json')).out) as object;
  expect(json).toMatchObject({
    dryRun: true,
    roles: [{ role: 'bins', published: 1, bundle: 2 }],
    rebin: { before: { count: 4 }, after: { count: 16, prefix: 'bin2' }, preparations: 1 },
  });

  await ledger.close();
  // An order that waited before the publisher began waits for a minute: its root may just have gone ahead.
  if (process.env['SLOW'] !== '1') return;
  const imported = await command(cwd, 'import', 'next.json');
  expect(imported.status).toBe(0);
  expect(imported.out).toMatch(/^imported: what the bundle holds is published with snapshot \d+\n$/);
  expect(await command(cwd, 'fsck')).toMatchObject({ status: 0 });
  expect(await command(cwd, 'audit', 'verify')).toMatchObject({ status: 0 });
  expect((await command(cwd, 'import', 'next.json', '--dry-run')).out).toBe(
    'everything that the bundle holds is published already\n',
  );
  // The bundle of before would go back to names that were used.
  const older = await command(cwd, 'import', 'bundle.json');
  expect(older).toMatchObject({ status: 1, err: expect.stringContaining('never used again') as string });
});
