// Real wheels, from a directory and from a real index that serves them: the same files, the same digest, and an index that
// goes on answering while it is crawled twice.
import { cp, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { debianWheels, installPypiServer } from '../../scripts/interop/pypi-server.ts';
import { freePort, startProcess, untilReady } from '../../scripts/interop/server-process.ts';
import type { BacksignReport } from '../../src/backsign/report.ts';
import { rehearse, runCommand } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const server = await installPypiServer();
const wheels = await debianWheels();
const missing = [server, wheels].filter(({ program }) => program === undefined);

test.skipIf(missing.length > 0)(
  `${server.name} and ${wheels.name} ${missing.map(({ reason }) => reason).join(' ')}`,
  { timeout: 300_000 },
  async () => {
    const directory = join(await tempDir(), 'installation');
    await rehearse(directory, 16);
    expect((await runCommand(directory, ['bootstrap', 'bundle.json'])).how).toBe(0);
    const files = join(directory, 'wheels');
    await cp(wheels.program ?? '', files, { recursive: true });
    const names = (await readdir(files)).filter((name) => name.endsWith('.whl'));
    expect(names.length).toBeGreaterThan(1);

    const port = await freePort();
    const args = ['run', '--port', String(port), '--interface', '127.0.0.1', '--hash-algo', 'sha256', files];
    const index = startProcess(server.program ?? '', args);
    onTestFinished(() => index.stop());
    const url = `http://127.0.0.1:${port}/simple/`;
    await untilReady(index, async () => (await fetch(url)).ok);

    const signed = async (state: string, ...source: string[]): Promise<BacksignReport> => {
      const command = ['backsign', ...source, '--state', state, '--report', `${state}.json`];
      const { how, stderr } = await runCommand(directory, command);
      expect(how, stderr).toBe(0);
      return JSON.parse(await readFile(join(directory, `${state}.json`), 'utf8')) as BacksignReport;
    };
    const listed = await signed('listed', '--simple-index', url);
    expect(listed).toMatchObject({
      files: names.length,
      refused: { count: 0 },
      result: { agreed: names.length },
    });
    const fetched = await signed('fetched', '--simple-index', url, '--fetch', '--dry-run');
    const hashed = await signed('hashed', '--directory', 'wheels', '--prefix', 'packages/', '--dry-run');
    expect(fetched.digest).toBe(listed.digest);
    expect(hashed.digest).toBe(listed.digest);
    expect((await runCommand(directory, ['fsck'])).how).toBe(0);
  },
);
