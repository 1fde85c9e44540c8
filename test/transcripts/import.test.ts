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
import { serializeBundle, type Bundle } from '../../src/tuf/bundle.ts';
import { runInProcess, type CommandOutcome } from '../support/cli-command.ts';
import { nextBundle } from '../support/next-ceremony.ts';
import { expectSound } from '../support/oracle.ts';
import { makeOfflineKeys, testBundle } from '../support/repository.ts';
import { RunningClock } from '../support/running-clock.ts';
import { tempDir } from '../support/temp-dir.ts';

const PASSPHRASE = 'seven words that nobody would ever guess';

const command = (cwd: string, ...args: readonly string[]): Promise<CommandOutcome> =>
  runInProcess(cwd, { COUNTERSIGN_SIGNER_PASSPHRASE: PASSPHRASE }, args);

/** A folder with an online key and the bundle of a genesis. */
async function genesis(at: number) {
  const cwd = await tempDir();
  const file = { path: join(cwd, 'online.key'), passphrase: PASSPHRASE };
  await generateKeyFile({ ...file, algorithm: 'ed25519', workFactor: 10 });
  const signer = await openFileSigner(file);
  const offlineKeys = await makeOfflineKeys(1);
  const layout = new BinLayout(16);
  const bundle = await testBundle({ offlineKeys, signer, layout, format: 'succinct', now: at });
  await writeFile(join(cwd, 'bundle.json'), serializeBundle(bundle));
  return { cwd, signer, offlineKeys, bundle };
}

test(
  "import and renew without a service; refusals have the publisher's reason",
  { timeout: 90_000 },
  async () => {
    const now = systemClock.now();
    const { cwd, signer, offlineKeys, bundle } = await genesis(now);
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

test(
  'the minute after a root is announced, counted on a terminal, and no mystery',
  { timeout: 60_000 },
  async () => {
    const clock = new RunningClock(systemClock.now(), 60);
    const { cwd, signer, offlineKeys, bundle } = await genesis(clock.now());
    const run = (args: readonly string[], isTTY = false): Promise<CommandOutcome> =>
      runInProcess(cwd, { COUNTERSIGN_SIGNER_PASSPHRASE: PASSPHRASE }, args, { clock, isTTY });
    expect(await run(['bootstrap', 'bundle.json'])).toMatchObject({ status: 0 });

    const next = (previous: Bundle): Promise<Bundle> =>
      nextBundle(previous, offlineKeys, { now: clock.now(), online: [signer], targetsOverlap: true });
    const second = await next(bundle);
    await writeFile(join(cwd, 'second.json'), serializeBundle(second));
    const announced = 'root 2 is public; what it needs follows 60 seconds later';
    const begun = clock.now();
    const quiet = await run(['import', 'second.json']);
    expect(clock.now() - begun).toBeGreaterThanOrEqual(60_000);
    expect(quiet.status).toBe(0);
    expect(quiet.err).toContain(announced);
    expect(quiet.err.split(announced)).toHaveLength(2);
    expect(quiet.err).not.toContain('/60');

    // Two ceremonies at once: whoever has the first bundle is told to begin with it.
    const fourth = await next(await next(second));
    await writeFile(join(cwd, 'fourth.json'), serializeBundle(fourth));
    const terminal = await run(['import', 'fourth.json'], true);
    expect(terminal.status).toBe(0);
    expect(terminal.err).toContain('where the bundle with targets 3 is at hand, import it first');
    expect(terminal.err).toContain('seconds');
    expect(terminal.err).toMatch(/\d+\/60/);
  },
);
