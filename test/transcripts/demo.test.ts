// `countersign demo` as a newcomer runs it: the built program (npm test builds first), its story, its end.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { DemoReport } from '../../src/demo/demo.ts';
import { tempDir } from '../support/temp-dir.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));

/** The demo takes about 8 s on an idle machine. */
const TIMEOUT_MS = 90_000;

function startDemo(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [PROGRAM, 'demo', ...args], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
  const ended = once(child, 'close').then(([status]) => ({
    stdout,
    stderr,
    status: status as number | null,
  }));
  onTestFinished(async () => {
    child.kill('SIGKILL');
    await ended;
  });
  /** Resolves when the demo has said this, or with undefined when it ends before. */
  const said = async (pattern: RegExp): Promise<RegExpExecArray | undefined> => {
    for (;;) {
      const match = pattern.exec(stdout);
      if (match !== null) return match;
      if (child.exitCode !== null) return undefined;
      await Promise.race([once(child.stdout, 'data'), ended]);
    }
  };
  return { child, ended, said };
}

/** Processes with the environment variable of this test, by the account of a kernel that gives one. */
async function processesOf(mark: string): Promise<string[]> {
  if (process.platform !== 'linux') return [];
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
    if (environment.includes(`DEMO_TEST=${mark}\0`)) found.push(pid);
  }
  return found;
}

interface Ended {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number | null;
}

function expectStory({ stdout, stderr, status }: Ended): void {
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  expect(stdout.match(/^ \d+ {2}\S.*$/gm)).toHaveLength(9);
  for (const command of [
    'countersign-ceremony rehearse --out . --holders 3 --threshold 2',
    'countersign bootstrap bundle.json',
    'COUNTERSIGN_LISTEN=127.0.0.1:0 countersign serve',
    'countersign backsign --manifest ../existing.ndjson',
    'countersign fsck',
  ]) {
    expect(stdout).toContain(`    $ ${command}`);
  }
  expect(stdout).toMatch(/^ {4}428 back-signed in snapshot 2, in /m);
  expect(stdout).toMatch(/^ {4}from 202 to public: median \d+ ms, slowest \d+ ms$/m);
  expect(stdout).toMatch(/^ {4}the honest copy +accepted$/m);
  expect(stdout).toMatch(/^ {4}one byte altered +refused: Expected hash [0-9a-f]{12}… but got /m);
  expect(stdout).toMatch(/^ {4}a forged bin +refused: .*bin-[0-9a-f]{2} was signed by 0\/1 keys$/m);
  expect(stdout).toMatch(/^ {4}an old timestamp +refused: New timestamp version \d+ is less than /m);
  expect(stdout).toMatch(/^Done in \d+\.\d s\.$/m);
}

function expectReport({ stdout, stderr, status }: Ended): void {
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  const report = JSON.parse(stdout) as DemoReport;
  expect(report).toMatchObject({
    ceremony: { holders: 3, threshold: 2 },
    bins: 256,
    existing: { files: 428, snapshot: 2 },
    release: { events: 38 },
    sound: true,
  });
  // The last publication is the wheel's.
  expect(report.snapshot).toBe(report.release.lastSnapshot + 1);
  const attacks = report.attacks.map(({ name }) => name);
  expect(attacks).toEqual(['one byte altered', 'a forged bin', 'an old timestamp']);
}

describe('countersign demo', () => {
  test(
    'tells its story to the end, for people and for machines at once, and leaves no process',
    async () => {
      const directory = path.join(await tempDir(), 'look here');
      // What this shell configures is not the demo's business.
      const env = { DEMO_TEST: directory, COUNTERSIGN_LISTEN: 'nonsense', COUNTERSIGN_NO_SUCH_SETTING: '1' };
      const [people, machines] = await Promise.all([
        startDemo(['--keep', path.join(directory, 'people')], env).ended,
        startDemo(['--json', '--keep', path.join(directory, 'machines')], env).ended,
      ]);
      expectStory(people);
      expectReport(machines);
      const repository = path.join(directory, 'people', 'installation', 'repository');
      expect(await readdir(path.join(repository, 'metadata'))).toContain('timestamp.json');
      expect(await processesOf(directory)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test(
    'stops its service and ends with status 1 when it is interrupted',
    async () => {
      const directory = path.join(await tempDir(), 'demo');
      const { child, ended, said } = startDemo(['--keep', directory], { DEMO_TEST: directory });
      const address = (await said(/listens on (http:\S+)\n/))?.[1] ?? '';
      expect((await fetch(`${address}/v1/status`)).status).toBe(200);
      child.kill('SIGINT');
      const { stderr, status } = await ended;
      expect(status).toBe(1);
      expect(stderr).toContain('interrupted');
      expect(stderr).toContain(directory);
      await expect(fetch(`${address}/v1/status`)).rejects.toThrow('fetch failed');
      expect(await processesOf(directory)).toEqual([]);
    },
    TIMEOUT_MS,
  );

  test('does not work in a directory that holds something', async () => {
    const directory = await tempDir();
    await mkdir(path.join(directory, 'mine'));
    await writeFile(path.join(directory, 'mine', 'file'), 'precious');
    const { stdout, stderr, status } = await startDemo(['--json', '--keep', directory]).ended;
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: 'file-exists' } });
    expect(stderr).toContain(`${directory} is not empty`);
    expect(await readdir(directory)).toEqual(['mine']);
  });
});
