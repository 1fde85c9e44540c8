// countersign import and renew as an operator types them, in this process: without a service, and beside one.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { generateKeyFile } from '../../src/signing/key-file.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { serializeBundle } from '../../src/tuf/bundle.ts';
import { runInProcess, type CommandOutcome } from '../support/cli-command.ts';
import { nextBundle } from '../support/next-ceremony.ts';
import { expectSound } from '../support/oracle.ts';
import { makeOfflineKeys, testBundle } from '../support/repository.ts';
import { tempDir } from '../support/temp-dir.ts';

const PASSPHRASE = 'seven words that nobody would ever guess';

const command = (cwd: string, ...args: readonly string[]): Promise<CommandOutcome> =>
  runInProcess(cwd, { COUNTERSIGN_SIGNER_PASSPHRASE: PASSPHRASE }, args);

test(
  "import and renew without a service; refusals have the publisher's reason",
  { timeout: 90_000 },
  async () => {
    const cwd = await tempDir();
    await generateKeyFile({
      path: join(cwd, 'online.key'),
      passphrase: PASSPHRASE,
      algorithm: 'ed25519',
      workFactor: 10,
    });
    const signer = await openFileSigner({ path: join(cwd, 'online.key'), passphrase: PASSPHRASE });
    const offlineKeys = await makeOfflineKeys(1);
    const now = systemClock.now();
    const layout = new BinLayout(16);
    const bundle = await testBundle({ offlineKeys, signer, layout, format: 'succinct', now });
    await writeFile(join(cwd, 'bundle.json'), serializeBundle(bundle));
    expect(await command(cwd, 'import', 'bundle.json')).toMatchObject({ status: 1 });
    expect(await command(cwd, 'bootstrap', 'bundle.json')).toMatchObject({ status: 0 });

    const next = await nextBundle(bundle, offlineKeys, {
      now,
      online: [signer],
      targets: false,
      bins: false,
    });
    await writeFile(join(cwd, 'next.json'), serializeBundle(next));
    const imported = await command(cwd, 'import', 'next.json');
    expect(imported.out).toBe('imported: what the bundle holds is published with snapshot 2\n');
    expect(imported.status).toBe(0);
    const again = await command(cwd, 'import', 'next.json', '--json');
    expect(JSON.parse(again.out)).toEqual({ order: 2, snapshot: 2 });
    const older = await command(cwd, 'import', 'bundle.json');
    expect(older.status).toBe(1);
    expect(older.err).toContain('countersign: the bundle ends with root version 1, version 2 is published');
    expect((await command(cwd, 'renew', '--all')).out).toContain('renewed with snapshot 3');
    const queued = JSON.parse((await command(cwd, 'renew', '--no-wait', '--json')).out) as { order: number };

    const ledger = await openSqliteLedger(join(cwd, 'ledger.db'));
    expect(await ledger.openOrders()).toMatchObject([{ number: queued.order, kind: 'renew' }]);
    expect((await ledger.bins()).every(({ version }) => version === 2)).toBe(true);
    const store = await openFileStore(join(cwd, 'repository'));
    await expectSound({
      store,
      clock: systemClock,
      rootBytes: await readFile(join(cwd, 'repository/metadata/1.root.json')),
    });
    await ledger.close();
  },
);
