// The archive of a ceremony, opened years later by somebody who has age and tar and not this program.
import { execFile } from 'node:child_process';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { spawn } from '@lydell/node-pty';
import { describe, expect, test } from 'vitest';
import { installAge } from '../../scripts/interop/age.ts';
import { heldCeremony } from '../support/held-ceremony.ts';
import { tempDir } from '../support/temp-dir.ts';

const PASSPHRASE = 'umbrella kettle harbour violet sixteen Mondays in June 4711';
const age = await installAge();

describe.skipIf(age.program === undefined)(`${age.name} ${age.reason}`, () => {
  test('age and tar open it, and every file is as it was', async () => {
    const held = await heldCeremony(await tempDir());
    const place = await tempDir();
    await writeFile(join(place, 'holder-1.key'), 'an encrypted key');
    const { status, stderr } = await held.run(
      ['export', '--everything', '--to', join(place, 'all.tar.age'), '--with', join(place, 'holder-1.key')],
      [
        { question: 'Number or name', answer: 'own' },
        { question: 'New passphrase', answer: PASSPHRASE },
        { question: 'once more', answer: PASSPHRASE },
      ],
    );
    expect(stderr).not.toContain('countersign-ceremony:');
    expect(status).toBe(0);

    // age asks at the terminal and nowhere else.
    expect(await decrypt(place, 'not the passphrase')).not.toBe(0);
    expect(await decrypt(place, PASSPHRASE)).toBe(0);
    const { stdout } = await promisify(execFile)('tar', ['-tvf', 'all.tar'], { cwd: place });
    expect(stdout).toMatch(/^-r-------- .* 2026-01-01 .* trial\/bundle\.json$/m);
    await promisify(execFile)('tar', ['-xf', 'all.tar'], { cwd: place });
    expect(await readFile(join(place, 'trial/keys/holder-1.key'), 'utf8')).toBe('an encrypted key');
    const names = (await readdir(held.folder, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() && entry.name !== 'transcript.ndjson')
      .map((entry) => join(entry.parentPath, entry.name).slice(held.folder.length + 1));
    expect(names.length).toBeGreaterThan(8);
    for (const name of names) {
      const kept = await readFile(join(place, 'trial', name));
      expect(kept.equals(await readFile(join(held.folder, name))), name).toBe(true);
    }
  });

  test('sha256sum checks what the service is given, and the record', async () => {
    const held = await heldCeremony(await tempDir());
    const to = join(await tempDir(), 'service');
    expect((await held.run(['export', '--online', '--to', to])).status).toBe(0);
    const { stdout } = await promisify(execFile)('sha256sum', ['-c', 'SHA256SUMS'], { cwd: to });
    expect(stdout).toBe('bundle.json: OK\nonline.pub.json: OK\n');
    expect((await held.run(['record'])).status).toBe(0);
    const record = ['-c', '--ignore-missing', 'record.txt'];
    const checked = await promisify(execFile)('sha256sum', record, { cwd: held.folder });
    expect(checked.stdout).toContain('payload.json: OK\nplan.yaml: OK\n');
    expect(checked.stdout).not.toContain('FAILED');
  });
});

/** Runs `age --decrypt` in a terminal of its own; the exit status. */
function decrypt(folder: string, passphrase: string): Promise<number> {
  const terminal = spawn(age.program ?? '', ['--decrypt', '--output', 'all.tar', 'all.tar.age'], {
    cwd: folder,
  });
  let seen = '';
  terminal.onData((text) => {
    seen += text;
    if (/passphrase:/i.test(seen)) {
      seen = '';
      terminal.write(`${passphrase}\r`);
    }
  });
  return new Promise((resolve) => {
    terminal.onExit(({ exitCode }) => {
      resolve(exitCode);
    });
  });
}
