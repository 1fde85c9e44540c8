// The audit log as an operator meets it, with the built program: verified, exported, continued, and compared.
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../support/temp-dir.ts';

const dist = (name: string): string => new URL(`../../dist/${name}`, import.meta.url).pathname;

interface Run {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(program: string, cwd: string, args: readonly string[]): Promise<Run> {
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [dist(program), ...args], { cwd }, (error, stdout, stderr) => {
      resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr });
    });
    child.stdin?.end();
  });
}

test('verify, export, verify the export, and a line that was changed', async () => {
  const cwd = await tempDir();
  const made = await run('keys-ceremony/main.js', cwd, ['rehearse', '--out', 'trial', '--bins', '4']);
  expect(made).toMatchObject({ status: 0 });
  const countersign = (...args: string[]): Promise<Run> =>
    run('src/main.js', cwd, ['-c', 'trial/countersign.yaml', ...args]);
  expect(await countersign('bootstrap', 'trial/bundle.json')).toMatchObject({ status: 0 });
  const sound = await countersign('audit', 'verify', '--json');
  expect(JSON.parse(sound.stdout)).toMatchObject({ sound: true, records: 3, accounted: 6, problems: [] });
  const text = await countersign('audit', 'verify');
  expect(text).toMatchObject({ status: 0, stderr: '' });
  expect(text.stdout).toContain('accounts for every signature: 6 files');

  const log = path.join(cwd, 'audit.ndjson');
  expect((await countersign('audit', 'export', '--to', log)).stdout).toContain('wrote 3 records');
  // An interrupted run left half a line behind; the next one goes on.
  const whole = await readFile(log, 'utf8');
  await writeFile(log, whole.slice(0, -40));
  expect((await countersign('audit', 'export', '--to', log)).stdout).toContain('wrote 1 records');
  expect(await readFile(log, 'utf8')).toBe(whole);
  expect(await countersign('audit', 'verify', '--log', log)).toMatchObject({ status: 0 });
  await writeFile(log, whole.replace('"events":0', '"events":1'));
  const forged = await countersign('audit', 'verify', '--log', log);
  expect(forged).toMatchObject({ status: 1, stdout: '' });
  expect(forged.stderr).toContain('audit record 2 has the hash');
}, 120_000);
