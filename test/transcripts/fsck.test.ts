// countersign fsck as an operator meets it: what it prints for a sound and for a broken repository, in each form, and
// with which status it ends.
import { readdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { rehearse, runCommand, startService } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

async function bootstrapped(): Promise<{ directory: string; metadata: string }> {
  const directory = join(await tempDir(), 'installation');
  await rehearse(directory, 2);
  const { how, stderr } = await runCommand(directory, ['bootstrap', 'bundle.json']);
  expect(how, stderr).toBe(0);
  return { directory, metadata: join(directory, 'repository', 'metadata') };
}

const SOUND = 'sound: no rule is broken\n';

describe('fsck', () => {
  test('of a sound repository: configured, as a directory, over HTTP, from a root', async () => {
    const { directory } = await bootstrapped();
    expect(await runCommand(directory, ['fsck'])).toEqual({ how: 0, stdout: SOUND, stderr: '' });
    const json = await runCommand(directory, ['fsck', '--json']);
    expect(json).toMatchObject({ how: 0, stderr: '' });
    expect(JSON.parse(json.stdout)).toEqual({ sound: true, violations: [] });
    const given = ['fsck', 'file:./repository', '--root', 'root.json'];
    expect(await runCommand(directory, given)).toEqual({ how: 0, stdout: SOUND, stderr: '' });
    const service = startService(directory);
    const url = `${await service.address}/`;
    expect(await runCommand(directory, ['fsck', url, '--root', 'root.json'])).toMatchObject({
      how: 0,
      stdout: SOUND,
    });
    service.signal('SIGTERM');
    await service.ended;
  }, 60_000);

  test('of a broken one: each violation is a line, and an entry of the document; status 1', async () => {
    const { directory, metadata } = await bootstrapped();
    const bin = (await readdir(metadata)).find((name) => name.startsWith('1.bin-')) ?? '';
    await rm(join(metadata, bin));
    const stray = join(metadata, 'notes.txt');
    await writeFile(stray, 'x');
    const run = await runCommand(directory, ['fsck']);
    expect(run).toMatchObject({ how: 1, stderr: '' });
    const lines = run.stdout.trimEnd().split('\n');
    expect(lines).toContain(
      'storage-unknown-name: metadata/notes.txt is no object of a repository (metadata/…)',
    );
    expect(lines).toContain(`tuf-5.6.1: metadata/${bin} is absent`);
    const json = await runCommand(directory, ['fsck', '--json']);
    expect(json).toMatchObject({ how: 1, stderr: '' });
    const { sound, violations } = JSON.parse(json.stdout) as {
      sound: boolean;
      violations: { rule: string; name: string; message: string }[];
    };
    expect(sound).toBe(false);
    expect(violations.map(({ rule, name, message }) => `${rule}: ${name} ${message}`).sort()).toEqual(
      lines.toSorted(),
    );
  }, 60_000);

  test('of another root than the trusted one: status 1', async () => {
    const [one, other] = [await bootstrapped(), await bootstrapped()];
    const args = ['fsck', 'file:./repository', '--root', join(other.directory, 'root.json')];
    const { how, stdout } = await runCommand(one.directory, args);
    expect(how).toBe(1);
    expect(stdout).toContain('metadata/1.root.json');
  }, 60_000);

  test('of nothing, and wrong usage: status 1, 2, or 3, and nothing on standard output', async () => {
    const directory = await tempDir();
    const absent = await runCommand(directory, ['fsck', 'file:./absent']);
    expect(absent).toMatchObject({ how: 2, stdout: '' });
    expect(absent.stderr).toBe(
      `countersign: there is no store in ${join(directory, 'absent')}\n  -> See --help of the command.\n`,
    );
    expect((await readdir(directory)).length).toBe(0);
    expect(await runCommand(directory, ['fsck', 'ftp://x/'])).toMatchObject({ how: 2, stdout: '' });
    expect(await runCommand(directory, ['fsck', 'file:.', '--root', 'none.json'])).toMatchObject({
      how: 2,
      stdout: '',
    });
    const silent = await runCommand(directory, ['fsck', 'http://127.0.0.1:1/', '--json']);
    expect(silent.how).toBe(3);
    expect(JSON.parse(silent.stdout)).toMatchObject({ error: { code: 'store-unavailable' } });
    const unfounded = await runCommand(directory, ['fsck', '--json']);
    expect(unfounded.how).toBe(1);
    expect(JSON.parse(unfounded.stdout)).toMatchObject({ error: { code: 'not-bootstrapped' } });
  }, 60_000);

  test('--rules: each rule with its source, for people and for programs', async () => {
    const directory = await tempDir();
    const text = await runCommand(directory, ['fsck', '--rules']);
    expect(text).toMatchObject({ how: 0, stderr: '' });
    const json = await runCommand(directory, ['fsck', '--rules', '--json']);
    const { rules } = JSON.parse(json.stdout) as { rules: { id: string; source: string; meaning: string }[] };
    expect(rules.length).toBeGreaterThan(30);
    expect(text.stdout).toBe(rules.map((r) => `${r.id}  (${r.source})\n    ${r.meaning}\n`).join(''));
  });
});
