// kill -9 at any moment of a back-signing run: resumed, it comes to the same digest, and the repository is whole. And
// beside a service that goes on publishing: where an upload names the same path, the upload is newer.
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { modelFile } from '../../scripts/bench/model-files.ts';
import type { BacksignReport } from '../../src/backsign/report.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { rehearse, runCommand, startService } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const SLOW = process.env['SLOW'] === '1';
const KILLS = SLOW ? 50 : 3;
const FILES = SLOW ? 50_000 : 5000;
const SEED = Number(process.env['KILL_SEED'] ?? systemClock.now() % 1_000_000);

function generator(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}

async function installation(): Promise<string> {
  const directory = join(await tempDir(), 'installation');
  await rehearse(directory, 64);
  expect((await runCommand(directory, ['bootstrap', 'bundle.json'])).how).toBe(0);
  const lines = Array.from({ length: FILES }, (_, number) => {
    const { path, target } = modelFile(2, number);
    return JSON.stringify({ path, length: target.length, sha256: target.hashes.sha256 });
  });
  await writeFile(join(directory, 'list.ndjson'), `${lines.join('\n')}\n`);
  return directory;
}

async function finished(directory: string, args: readonly string[]): Promise<BacksignReport> {
  const { how, stdout, stderr } = await runCommand(directory, ['backsign', '--json', ...args]);
  expect(how, stderr).toBe(0);
  return JSON.parse(stdout) as BacksignReport;
}

async function expectSoundRepository(directory: string): Promise<void> {
  const { how, stdout } = await runCommand(directory, ['fsck', '--json']);
  expect(how, stdout).toBe(0);
}

test(
  `${KILLS} kills, resumed each time: the digest of an undisturbed run`,
  async () => {
    const random = generator(SEED);
    const directory = await installation();
    const began = systemClock.now();
    const undisturbed = await finished(directory, [
      '--manifest',
      'list.ndjson',
      '--state',
      'calm',
      '--dry-run',
    ]);
    const usualMs = (systemClock.now() - began) * 2;
    let args = ['--manifest', 'list.ndjson'];
    for (let kill = 0; kill < KILLS; kill++) {
      await runCommand(directory, ['backsign', ...args], systemClock.sleep(random() * usualMs));
      // Killed before it had written down what it is about: begun anew.
      const known = await runCommand(directory, ['backsign', '--resume', '--dry-run']);
      args = known.how === 0 ? ['--resume'] : args;
    }
    const report = await finished(directory, args);
    expect(report.digest, `KILL_SEED=${SEED}`).toBe(undisturbed.digest);
    expect(report.files).toBe(FILES);
    expect(report.result).toMatchObject({ agreed: FILES, superseded: { count: 0 }, removed: { count: 0 } });
    await expectSoundRepository(directory);
  },
  KILLS * 30_000 + 60_000,
);

test('beside a service: uploads go on, and the newer statement wins', { timeout: 180_000 }, async () => {
  const directory = await installation();
  const service = startService(directory);
  const address = await service.address;
  const [taken, gone] = [modelFile(2, 0).path, modelFile(2, 1).path];
  const post = async (changes: readonly object[]): Promise<void> => {
    const answer = await fetch(`${address}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=20' },
      body: JSON.stringify({ events: [{ changes }] }),
    });
    expect(answer.status).toBe(200);
  };
  const target = { length: 5, hashes: { sha256: sha256Hex('newer') } };
  await finished(directory, ['--manifest', 'list.ndjson', '--dry-run']);
  await post([taken, gone].map((path) => ({ op: 'add', path, ...target })));
  await post([{ op: 'remove', path: gone }]);
  const signing = finished(directory, ['--resume']);
  await post([{ op: 'add', path: 'meanwhile.whl', ...target }]);
  const { result } = await signing;
  expect(result).toMatchObject({
    agreed: FILES - 2,
    superseded: { count: 1, paths: [taken] },
    removed: { count: 1, paths: [gone] },
  });
  const found = (await (await fetch(`${address}/v1/targets/${taken}`)).json()) as { target: unknown };
  expect(found.target).toMatchObject(target);
  service.signal('SIGTERM');
  expect((await service.ended).how).toBe(0);
  await expectSoundRepository(directory);
});
