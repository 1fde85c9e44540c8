// A plan played from beginning to end with keys that are made for it: a first ceremony, and a change of everything.
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseBundle, verifyBundle } from '../../src/tuf/bundle.ts';
import { foundCeremony, holdCeremony } from '../support/ceremony-people.ts';
import { tempDir } from '../support/temp-dir.ts';

interface Played {
  readonly steps: readonly string[];
  readonly signers: readonly string[];
  readonly bundle: { readonly file: string };
}

test('a genesis, and the files that it leaves', async () => {
  const dir = await tempDir();
  const office = await foundCeremony(join(dir, 'office'), 'genesis');
  const { status, stdout, stderr } = await office.run([
    'rehearse',
    '--plan',
    'plan.yaml',
    '--out',
    '../trial',
  ]);
  expect(stderr).toContain('root 1 (new), expires 2027-01-01T00:00:00Z, 365 days after the ceremony');
  expect(stdout).toContain(
    'the ceremony genesis works: 12 commands, 3 signers (holder-1, holder-2, holder-3)\n',
  );
  expect(status).toBe(0);
  expect((await readdir(join(dir, 'trial'))).sort()).toEqual(['holders', 'office']);
  const bundle = parseBundle(await readFile(join(dir, 'trial/office/bundle.json')));
  expect((await verifyBundle(bundle, office.now)).layout.count).toBe(4);
  // No key is left behind.
  const files = await readdir(join(dir, 'trial'), { recursive: true });
  expect(files.filter((name) => /\.key$|passphrase/.test(name))).toEqual([]);
});

test('a change of holders, threshold and online key, after the bundle that lies beside the plan', async () => {
  const dir = await tempDir();
  const first = await holdCeremony(join(dir, 'first'), 'first', ['holder-1', 'holder-2']);
  const next = await foundCeremony(
    join(dir, 'next'),
    'next',
    {
      kind: 'update',
      day: 200,
      holders: ['holder-1', 'holder-2', 'holder-4', 'holder-5'],
      root: '{ threshold: 3, expires-in: 365d }',
      online: ['online-1', 'online-2'],
    },
    await first.read('bundle.json'),
  );
  const played = (await next.ask(
    'rehearse',
    '--plan',
    'plan.yaml',
    '--out',
    '../trial',
  )) as unknown as Played;
  // The third of the old root is not in the plan: whoever holds that key signs as well.
  expect(played.signers).toEqual(['holder-1', 'holder-2', 'former-3', 'holder-4', 'holder-5']);
  const verified = await verifyBundle(parseBundle(await readFile(played.bundle.file)), next.now);
  expect(verified.roots).toHaveLength(2);
  expect(verified.onlineKeyids).toHaveLength(2);
  expect(verified.trusted.root.signed.roles.root.threshold).toBe(3);
});

test('an update without the bundle before it, which the rehearsal makes up', async () => {
  const dir = await tempDir();
  const office = await foundCeremony(join(dir, 'office'), 'renewal', { kind: 'update', day: 300 });
  const played = (await office.ask(
    'rehearse',
    '--plan',
    'plan.yaml',
    '--out',
    '../trial',
  )) as unknown as Played;
  expect(played.signers).toEqual(['holder-1', 'holder-2', 'holder-3']);
});

test('what the plan gets wrong shows in the rehearsal', async () => {
  const dir = await tempDir();
  const office = await foundCeremony(join(dir, 'office'), 'genesis', {
    root: '{ threshold: 4, expires-in: 365d }',
  });
  const { code, message } = await office.refused('rehearse', '--plan', 'plan.yaml', '--out', '../trial');
  expect(code).toBe('plan-refused');
  expect(message).toContain('threshold: root needs 4 signatures, but it has 3 keys');
  expect(
    await office.refused('rehearse', '--plan', 'plan.yaml', '--out', '../other', '--bins', '8'),
  ).toMatchObject({
    code: 'usage',
    message: '--bins stands in the plan already',
  });
});
