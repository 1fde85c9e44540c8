// Back-signing as its operator sees it, with the real programs: every kind of source, what is printed, what the report holds,
// and with which status it ends. The real uploads are facts about 12,883 files of PyPI (src/demo/
// ORIGIN.md); 121 of them have a name that was damaged when the list was made, with brackets that no path may have.
import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gunzipSync, gzipSync } from 'node:zlib';
import { expect, test } from 'vitest';
import type { BacksignReport } from '../../src/backsign/report.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { rehearse, runCommand } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const REAL_UPLOADS = new URL('../vectors/real-uploads.ndjson.gz', import.meta.url).pathname;

const DAMAGED = 121;

interface Upload {
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
}

async function realUploads(): Promise<Upload[]> {
  const text = gunzipSync(await readFile(REAL_UPLOADS)).toString();
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Upload);
}

type Run = (...args: string[]) => ReturnType<typeof runCommand>;

async function installation(bins: number, bootstrapped = true): Promise<{ directory: string; run: Run }> {
  const directory = join(await tempDir(), 'installation');
  await rehearse(directory, bins);
  const run: Run = (...args) => runCommand(directory, args);
  if (bootstrapped) expect((await run('bootstrap', 'bundle.json')).how).toBe(0);
  return { directory, run };
}

test(
  "all real uploads: the same digest from NDJSON, from a COPY of the database and from RSTUF's form",
  { timeout: 120_000 },
  async () => {
    const { directory, run } = await installation(64);
    const uploads = await realUploads();
    await copyFile(REAL_UPLOADS, join(directory, 'uploads.ndjson.gz'));
    // As psql writes it, with the paths of release_files, which lack the first folder.
    const copied = uploads.map(
      ({ path, length, sha256 }) => `${path.replace('packages/', '')},${length},${sha256}`,
    );
    await writeFile(
      join(directory, 'files.csv.gz'),
      gzipSync(`path,size,sha256_digest\n${copied.join('\n')}\n`),
    );
    const rows = uploads.map(({ path, length, sha256 }) => `${path};${length};sha256;${sha256}`);
    await writeFile(join(directory, 'rstuf.csv'), rows.toReversed().join('\n'));

    const dry = await run(
      'backsign',
      '--manifest',
      'uploads.ndjson.gz',
      '--dry-run',
      '--compare',
      'rstuf.csv',
      '--report',
      'dry.json',
    );
    expect(dry.stderr).toBe('');
    expect(dry.how).toBe(0);
    expect(dry.stdout).toContain('would sign 12762 files in 64 of 64 bins');
    expect(dry.stdout).toMatch(/^digest of all files: [0-9a-f]{64}$/m);
    expect(dry.stdout).toMatch(/^next: countersign backsign --resume --state .*\/backsign$/m);
    const signed = await run('backsign', '--resume', '--jobs', '1');
    expect(signed.stdout).toContain('signed 12762 files in 64 of 64 bins, public since snapshot 2');
    const again = await run(
      'backsign',
      '--manifest',
      'files.csv.gz',
      '--prefix',
      'packages/',
      '--state',
      'second',
      '--report',
      'again.json',
      '--json',
    );
    expect(again.how, again.stderr).toBe(0);
    const [first, second] = await Promise.all(
      ['dry.json', 'again.json'].map(
        async (name) => JSON.parse(await readFile(join(directory, name), 'utf8')) as BacksignReport,
      ),
    );
    expect(second?.digest).toBe(first?.digest);
    expect(first?.refused.count).toBe(DAMAGED);
    const reasons = first?.refused.lines.map(({ reason }) => reason) ?? [];
    expect(reasons.filter((reason) => reason.includes('allowed are A-Z'))).toHaveLength(DAMAGED);
    expect(second?.bins).toEqual(first?.bins);
    // Nothing was missing: no further publication.
    expect(second?.result).toMatchObject({ snapshot: 2, agreed: 12_762 });
    expect((await run('fsck')).stdout).toBe('sound: no rule is broken\n');
  },
);

test('a directory: files are hashed, links that leave it and pipes are refused by name', async () => {
  const { directory, run } = await installation(16);
  const files = join(directory, 'files');
  await mkdir(join(files, 'ab', 'deep'), { recursive: true });
  for (const name of ['one.whl', 'ab/two.tar.gz', 'ab/deep/three.whl'])
    await writeFile(join(files, name), name);
  await writeFile(join(files, 'ab', 'empty.whl'), '');
  await writeFile(join(files, 'with space.whl'), 'x');
  await symlink('ab/two.tar.gz', join(files, 'link.tar.gz'));
  await symlink('/etc/hostname', join(files, 'outside'));
  const { how, stdout, stderr } = await run(
    'backsign',
    '--directory',
    'files',
    '--prefix',
    'packages/',
    '--json',
  );
  expect(how, stderr).toBe(0);
  const report = JSON.parse(stdout) as BacksignReport;
  expect(report.files).toBe(4);
  expect(report.refused.count).toBe(3);
  expect(report.refused.lines.map(({ reason }) => reason).sort()).toEqual([
    expect.stringMatching(/^length 0 is not a whole number/),
    expect.stringMatching(/^outside is a link that leaves the directory/),
    expect.stringMatching(/^target path "packages\/with space.whl" has the character " "/),
  ]);
  const found = await run('publish', '--add', 'packages/one.whl=files/one.whl');
  expect(found.how, 'no service runs').not.toBe(0);
  expect((await run('fsck')).how).toBe(0);
  const gone = await run('backsign', '--directory', 'nowhere', '--state', 'other');
  expect(gone).toMatchObject({
    how: 2,
    stderr: expect.stringContaining('cannot read directory nowhere') as string,
  });
});

test(
  'offline: founded and signed in a directory, then copied to a store that clients read',
  { timeout: 60_000 },
  async () => {
    const { directory, run } = await installation(16, false);
    const lines = (await realUploads()).slice(0, 500).map((upload) => JSON.stringify(upload));
    await writeFile(join(directory, 'list.ndjson'), lines.join('\n'));
    const args = ['backsign', '--manifest', 'list.ndjson', '--out', 'offline', '--bundle', 'bundle.json'];
    const { how, stdout, stderr } = await run(...args);
    expect(how, stderr).toBe(0);
    expect(stdout).toContain('signed 500 files in 16 of 16 bins, public since snapshot 2');
    expect(stdout).toContain('next: countersign copy --from file:');
    const copied = await run('copy', '--from', 'file:offline/repository', '--to', 'file:./public', '--json');
    expect(copied.how, copied.stderr).toBe(0);
    expect((await run('fsck', 'file:public', '--root', 'root.json')).stdout).toBe(
      'sound: no rule is broken\n',
    );
    const wrong = await run('backsign', '--manifest', 'list.ndjson', '--out', 'other');
    expect(wrong).toMatchObject({
      how: 2,
      stderr: expect.stringContaining('--out and --bundle belong together') as string,
    });
  },
);

test('--strict ends at the first refused line, --compare before anything is signed', async () => {
  const { directory, run } = await installation(16);
  const line = (path: string, length: number): string =>
    JSON.stringify({ path, length, sha256: sha256Hex(path) });
  await writeFile(join(directory, 'list'), [line('a', 1), line('b', -1), line('c', 3)].join('\n'));
  await writeFile(join(directory, 'other'), [line('a', 2), line('d', 3)].join('\n'));
  const strict = await run('backsign', '--manifest', 'list', '--strict', '--state', 'strict');
  expect(strict.how).toBe(1);
  expect(strict.stderr).toContain('list, line 2, length -1 is not a whole number');
  const differing = await run('backsign', '--manifest', 'list', '--compare', 'other', '--state', 'compared');
  expect(differing.how).toBe(1);
  expect(differing.stderr).toMatch(/the sources differ in 3 paths: .*a \(with other content\)/);
  const status = JSON.parse(
    (await run('backsign', '--manifest', 'list', '--json', '--state', 'lenient')).stdout,
  ) as BacksignReport;
  expect(status.result).toMatchObject({ snapshot: 2, agreed: 2 });
  expect(status.refused.lines).toEqual([
    { file: 'list', line: 2, reason: expect.stringContaining('length -1') as string },
  ]);
});
