// What an operator gets wrong beside the index: a token file with something else in it, a configuration with a slip.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { runInProcess } from '../support/cli-command.ts';
import { tempDir } from '../support/temp-dir.ts';

test.each([
  ['a second line', 's3cret-token\nof the index\n', 'holds 2 lines'],
  ['an inner blank', 'Bearer s3cret-token\n', 'holds a blank or a character that is not ASCII'],
  ['blanks alone', ' \n\n', 'holds nothing but blanks'],
])('a token file with %s is named, and nothing of it is told', async (_, content, problem) => {
  const cwd = await tempDir();
  const file = path.join(cwd, 'token');
  await writeFile(file, content, { mode: 0o600 });
  const run = await runInProcess(cwd, {}, ['status', '--url', 'http://127.0.0.1:9', '--token-file', 'token']);
  expect(run.status).toBe(2);
  expect(run.err).toContain(`token file ${file} ${problem}`);
  expect(run.err + run.out).not.toContain('s3cret');
  const env = await runInProcess(cwd, { COUNTERSIGN_TOKEN: content }, [
    'status',
    '--url',
    'http://127.0.0.1:9',
  ]);
  expect(env.err).toContain(`COUNTERSIGN_TOKEN ${problem}`);
});

test('blank lines behind a token are no part of it', async () => {
  const cwd = await tempDir();
  await writeFile(path.join(cwd, 'token'), 's3cret-token\n\n', { mode: 0o600 });
  const run = await runInProcess(cwd, {}, ['status', '--url', 'http://127.0.0.1:9', '--token-file', 'token']);
  expect(run).toMatchObject({ status: 3 });
});

test('copy --from does not go on without a configuration that has a slip: it tells whose store that is', async () => {
  const cwd = await tempDir();
  await writeFile(
    path.join(cwd, 'countersign.yaml'),
    'store: file:./repository\nlegder: sqlite:./ledger.db\n',
  );
  const copy = ['copy', '--from', 'file:./repository', '--to', 'file:./moved'];
  const run = await runInProcess(cwd, {}, copy);
  expect(run.status).toBe(2);
  expect(run.err).toContain('unknown key "legder"; did you mean "ledger"');
});

test('follow begins with nothing that was not signed, and with no other prefix', async () => {
  const cwd = await tempDir();
  const folder = path.join(cwd, 'first');
  await mkdir(folder);
  await writeFile(path.join(folder, 'pages.ndjson'), '');
  await writeFile(path.join(folder, 'run.json'), '{"prefix":"packages/","sources":[],"identities":[]}');
  const follow = [
    'follow',
    '--simple-index',
    'http://127.0.0.1:9/simple/',
    '--once',
    '--backsigned',
    'first',
  ];
  const early = await runInProcess(cwd, {}, [...follow, '--prefix', 'packages/']);
  expect(early.status).toBe(1);
  expect(early.err).toContain(`what was read in ${folder} is not signed yet`);
  await writeFile(path.join(folder, 'report.json'), '{}');
  const other = await runInProcess(cwd, {}, [...follow, '--state', 'other.db']);
  expect(other.status).toBe(1);
  expect(other.err).toContain(`${folder} was back-signed with --prefix "packages/", not ""`);
});
