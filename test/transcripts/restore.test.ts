// An operator's worst morning, with the real programs: the service was killed, its ledger is an hour old, and the
// repository moves to another place. What each command prints, and with which status it ends.
import { copyFile, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import Database from 'libsql';
import { expect, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { eventually } from '../support/publisher-process.ts';
import { rehearse, runCommand, startService } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

async function send(address: string, id: string, wait = true): Promise<void> {
  const path = `packages/${id}.whl`;
  const change = { op: 'add', path, length: 1, hashes: { sha256: sha256Hex(id) } };
  const answer = await fetch(`${address}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...(wait ? { prefer: 'wait=20' } : {}) },
    body: JSON.stringify({ events: [{ id, changes: [change] }] }),
  });
  expect(answer.status, await answer.text()).toBe(wait ? 200 : 202);
}

function parsed(stdout: string): Record<string, unknown> {
  return JSON.parse(stdout) as Record<string, unknown>;
}

test('a ledger is restored after kill -9, reconciled, and the repository moves house', async () => {
  const directory = join(await tempDir(), 'installation');
  await rehearse(directory, 16);
  const run = (...args: string[]) => runCommand(directory, args);
  const first = await run('bootstrap', 'bundle.json', '--json');
  expect(parsed(first.stdout)).toMatchObject({ alreadyComplete: false });
  const again = await run('bootstrap', 'bundle.json');
  expect(again).toMatchObject({ how: 0, stdout: expect.stringContaining('already complete') as string });

  const service = startService(directory);
  const address = await service.address;
  await send(address, 'before');
  const [ledger, saved] = [join(directory, 'ledger.db'), join(directory, 'saved.db')];
  const database = new Database(ledger);
  database.exec(`VACUUM INTO '${saved}'`);
  database.close();
  for (const id of ['after-1', 'after-2', 'after-3']) await send(address, id);

  const busy = await run('copy', '--to', 'file:./elsewhere', '--json');
  expect(busy.how).toBe(1);
  expect(parsed(busy.stdout)).toMatchObject({ error: { code: 'copy-refused' } });
  const live = await run('copy', '--to', 'file:./elsewhere', '--live', '--json');
  expect(live.how, live.stdout).toBe(0);

  await Promise.all(Array.from({ length: 6 }, (_, i) => send(address, `load-${i}`, false)));
  service.signal('SIGKILL');
  await service.ended;
  for (const suffix of ['', '-wal', '-shm']) await rm(ledger + suffix, { force: true });
  await copyFile(saved, ledger);

  // The service takes events, and says why it publishes nothing.
  const refusing = startService(directory);
  const health = `${await refusing.address}/healthz`;
  await eventually('the service says why', async () => {
    return (await (await fetch(health)).text()).includes('countersign reconcile');
  });
  refusing.signal('SIGTERM');
  expect((await refusing.ended).how).toBe(0);
  expect((await run('fsck', '--json')).how).toBe(1);

  const shown = await run('reconcile', '--report', 'unknown.ndjson', '--json');
  expect(shown.how, shown.stdout).toBe(0);
  const { name, missing } = parsed(shown.stdout) as { name: string; missing: { targets: { added: number } } };
  expect(missing.targets.added).toBeGreaterThanOrEqual(3);
  const lines = (await readFile(join(directory, 'unknown.ndjson'), 'utf8')).trimEnd().split('\n');
  expect(lines.length).toBe(missing.targets.added);
  expect(lines.join('\n')).toContain('packages/after-3.whl');
  const overwrite = await run('reconcile', '--report', 'unknown.ndjson', '--json');
  expect(parsed(overwrite.stdout)).toMatchObject({ error: { code: 'file-exists' } });
  const wrong = await run('reconcile', '--adopt', '0'.repeat(16), '--json');
  expect(wrong.how).toBe(1);
  expect(parsed(wrong.stdout)).toMatchObject({ error: { code: 'reconcile-refused' } });
  const tooMuch = await run('reconcile', '--at-least', '100000', '--json');
  expect(parsed(tooMuch.stdout)).toMatchObject({ error: { code: 'reconcile-refused' } });

  const adopted = await run('reconcile', '--adopt', name);
  expect(adopted.how, adopted.stderr).toBe(0);
  expect(adopted.stdout).toContain('next: countersign serve');
  expect(await run('reconcile')).toMatchObject({
    how: 0,
    stdout: 'nothing to do: ledger and store are at the same publication\n',
  });
  expect(await run('fsck')).toMatchObject({ how: 0, stdout: 'sound: no rule is broken\n' });

  // The index sends again what it sent since the backup: also what was public already.
  const resumed = startService(directory);
  for (const id of ['after-1', 'after-2', 'after-3']) await send(await resumed.address, id);
  for (let i = 0; i < 6; i++) await send(await resumed.address, `load-${i}`);
  resumed.signal('SIGTERM');
  expect((await resumed.ended).how).toBe(0);

  const look = await run('copy', '--to', 'file:./elsewhere', '--dry-run');
  expect(look).toMatchObject({ how: 0, stdout: expect.stringMatching(/^would copy \d+ objects/) as string });
  const moved = await run('copy', '--to', 'file:./elsewhere');
  expect(moved.stdout).toMatch(
    /^copied \d+ objects \(\d+ bytes\); \d+ were there already\nthe destination shows/,
  );
  expect(moved.stderr).toBe('');
  const config = await readFile(join(directory, 'countersign.yaml'), 'utf8');
  await writeFile(
    join(directory, 'countersign.yaml'),
    config.replace(/^store: .*$/m, 'store: file:./elsewhere'),
  );
  expect(await run('fsck')).toMatchObject({ how: 0, stdout: 'sound: no rule is broken\n' });
  const there = startService(directory);
  await send(await there.address, 'in-the-new-house');
  there.signal('SIGTERM');
  expect((await there.ended).how).toBe(0);
  expect((await run('fsck')).how).toBe(0);
}, 240_000);

test.each([
  [['copy'], 'give --to'],
  [['copy', '--to', 'elsewhere'], 'names no kind'],
  [['copy', '--from', 'file:./a', '--to', 'file:./a'], 'the same store'],
  [['copy', '--from', 'file:./absent', '--to', 'file:./a'], 'there is no store'],
  [['copy', '--ledger-from', 'sqlite:./a'], 'belong together'],
  [
    ['copy', '--ledger-from', 'sqlite:./a', '--ledger-to', 'sqlite:./b'],
    'a ledger moves from sqlite:FILE to postgres',
  ],
  [['copy', '--ledger-from', 'sqlite:./a', '--ledger-to', 'postgres://u@h/d', '--live'], 'stand alone'],
  [['reconcile', '--at-least', 'many'], 'expected the version of a snapshot'],
])('%j is wrong usage', async (args, message) => {
  const { how, stdout, stderr } = await runCommand(await tempDir(), args);
  expect({ how, stdout }).toEqual({ how: 2, stdout: '' });
  expect(stderr).toContain(message);
});
