// The built program as the operator of a mirror uses it: a copy, its verification, and what is said when it was altered.
import { chmod, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { systemClock } from '../../src/lib/clock.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { foundRepository, publishPaths } from '../support/repository.ts';
import { serveRepository } from '../support/repository-server.ts';
import { runCommand } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

test('a copy is made, verified, altered, and named', { timeout: 180_000 }, async () => {
  const repository = await foundRepository({
    bins: 4,
    clock: new ManualClock(systemClock.now() - 60_000),
  });
  await publishPaths(repository, ['packages/one-1.0.tar.gz', 'packages/two-1.0.tar.gz']);
  const { url } = await serveRepository(repository.store);
  const directory = await tempDir();
  await writeFile(path.join(directory, 'root.json'), repository.rootBytes);
  const upstream = ['--metadata-url', `${url}/metadata`, '--root', 'root.json'];
  const targets = ['--targets', '--target-base-url', `${url}/targets`];

  const made = await runCommand(directory, ['mirror', ...upstream, ...targets, '--to', 'copy']);
  expect(made).toMatchObject({ how: 0, stderr: '' });
  expect(made.stdout).toBe(
    'shows snapshot 2, timestamp 2: 6 roles taken, 2 target files stored (46 bytes)\n',
  );

  const verify = ['mirror', 'verify', 'copy', '--root', 'root.json', '--complete'];
  expect(await runCommand(directory, verify)).toMatchObject({
    how: 0,
    stdout: 'sound: snapshot 2, 6 roles, 2 target files named, 2 there, 0 not there\n',
  });

  // As bandersnatch has them: plain names; one is altered, one nobody signed.
  const web = path.join(directory, 'web', 'packages');
  await mkdir(web, { recursive: true });
  await writeFile(path.join(web, 'one-1.0.tar.gz'), 'packages/one-1.0.tar.gz');
  await writeFile(path.join(web, 'two-1.0.tar.gz'), 'packages/two-1.0.tar.gZ');
  await writeFile(path.join(web, 'three-1.0.tar.gz'), 'nobody signed this');
  const plain = await runCommand(directory, [...verify, '--plain-files', 'web']);
  expect(plain.how).toBe(1);
  expect(plain.stdout.split('\n').slice(0, 2)).toEqual([
    'length-or-hash-mismatch: packages/two-1.0.tar.gz is not the file that signed metadata name',
    'target-absent: packages/three-1.0.tar.gz is there, and no signed metadata name it',
  ]);

  const metadata = path.join(directory, 'copy', 'metadata');
  const bin = path.join(metadata, (await readdir(metadata)).find((name) => name.includes('bin-')) ?? '');
  await chmod(bin, 0o644);
  await writeFile(bin, '{}');
  const altered = await runCommand(directory, [...verify, '--json']);
  expect(altered.how).toBe(1);
  expect(JSON.parse(altered.stdout)).toMatchObject({ sound: false, faults: [{ code: 'metadata-invalid' }] });

  const stray = await runCommand(directory, ['mirror', ...upstream, '--to', 'copy', '--project', 'one']);
  expect(stray).toMatchObject({ how: 2, stdout: '' });
  expect(stray.stderr).toContain('need --targets');
});
