// Every attack of PEP 458, Appendix A, and of the TUF specification, 1.5.2, by a hostile mirror over HTTP, on our own client
// and on tuf-js. `npm run test:interop` does the same to the other clients, the mirror and the proxy, and writes the table
// in docs/attacks.md.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Updater as TufJsUpdater } from 'tuf-js';
import { ATTACK_KINDS } from '../../scripts/interop/attacks/attack.ts';
import { allAttacks } from '../../scripts/interop/attacks/attacks.ts';
import { carryOut, clientBehindInstaller, type Victim } from '../../scripts/interop/attacks/campaign.ts';
import { startHostileMirror, type HostileMirror } from '../../scripts/interop/attacks/hostile-mirror.ts';
import { firstRoot, makeScene } from '../../scripts/interop/attacks/scene.ts';
import { siteOf } from '../../scripts/interop/attacks/site.ts';
import { DEFAULT_PATIENCE, httpFetcher } from '../../src/client/http-fetcher.ts';
import { downloadTarget } from '../../src/client/target-download.ts';
import { Updater } from '../../src/client/updater.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { CountersignError, type ErrorCode } from '../../src/lib/errors.ts';
import { MetadataDirectory } from '../../src/storage/metadata-directory.ts';

const scene = makeScene(systemClock.now());
const root = firstRoot(scene);
const attacks = allAttacks(scene);

/** Why our client refuses; absent where it must serve today's release. */
const REASONS: Readonly<Record<string, ErrorCode>> = {
  'altered-file': 'length-or-hash-mismatch',
  'other-file': 'length-or-hash-mismatch',
  'forged-bin': 'signature-invalid',
  'forged-chain': 'signature-invalid',
  'forged-root': 'signature-invalid',
  'rollback-root': 'version-rollback',
  'rollback-timestamp': 'version-rollback',
  'rollback-snapshot': 'version-rollback',
  'rollback-targets': 'version-rollback',
  'rollback-bins': 'version-rollback',
  'rollback-bin': 'version-rollback',
  'rollback-removal': 'version-rollback',
  'freeze-timestamp': 'metadata-expired',
  'freeze-snapshot': 'metadata-expired',
  'freeze-root': 'metadata-expired',
  'freeze-targets': 'metadata-expired',
  'freeze-bin': 'metadata-expired',
  'endless-root': 'metadata-too-large',
  'endless-timestamp': 'metadata-too-large',
  'endless-compressed': 'metadata-too-large',
  'endless-snapshot': 'metadata-too-large',
  'endless-bin': 'metadata-too-large',
  'endless-file': 'length-or-hash-mismatch',
  'silent-timestamp': 'store-unavailable',
  'trickled-timestamp': 'store-unavailable',
  'trickled-bin': 'store-unavailable',
  'trickled-file': 'store-unavailable',
  'extraneous-dependency': 'length-or-hash-mismatch',
  'extraneous-file': 'length-or-hash-mismatch',
  'mixed-snapshot': 'length-or-hash-mismatch',
  'mixed-targets': 'metadata-invalid',
  'mixed-bin': 'metadata-invalid',
  'swapped-bin': 'not-found',
  'wrong-file': 'length-or-hash-mismatch',
  'wrong-page': 'length-or-hash-mismatch',
  'wrong-scheme': 'store-unavailable',
  'one-root-key': 'signature-invalid',
  'one-root-key-twice': 'signature-invalid',
  'one-targets-key': 'signature-invalid',
  'one-bins-key': 'signature-invalid',
};

const now = (): number => systemClock.now();

const slow = new Set(attacks.filter(({ kind }) => kind === 'slow retrieval').map(({ name }) => name));

/** Ours, less patient than by default with the slow ones only: no honest answer may be late on a busy computer. */
const own: Victim = {
  name: 'countersign client',
  arm: async (attack) => {
    const store = MetadataDirectory.open(await newFolder());
    await Updater.init(store, root);
    const patience = slow.has(attack)
      ? { answerMs: 1_500, stretchMs: 1_500, stretchBytes: 1_000 }
      : DEFAULT_PATIENCE;
    const fetcher = httpFetcher(systemClock, patience);
    return clientBehindInstaller(async (address) => {
      const updater = new Updater({
        store,
        fetcher,
        clock: systemClock,
        metadataUrl: `${address}/metadata`,
      });
      await updater.refresh();
      const directory = await newFolder();
      return async (name) => {
        const target = await updater.find(name);
        if (target === undefined) throw new CountersignError('not-found', `no role knows ${name}`);
        const plan = { fetcher, baseUrl: `${address}/targets`, directory, consistentSnapshot: true };
        return readFile((await downloadTarget(target, plan)).file);
      };
    });
  },
};

const tufJs: Victim = {
  name: 'tuf-js',
  arm: async () => {
    const directory = await newFolder();
    const [metadataDir, targetDir] = [path.join(directory, 'metadata'), path.join(directory, 'targets')];
    await mkdir(metadataDir);
    await mkdir(targetDir);
    await writeFile(path.join(metadataDir, 'root.json'), root);
    return clientBehindInstaller(async (address) => {
      const updater = new TufJsUpdater({
        metadataDir,
        targetDir,
        metadataBaseUrl: `${address}/metadata`,
        targetBaseUrl: `${address}/targets`,
      });
      await updater.refresh();
      return async (name) => {
        const target = await updater.getTargetInfo(name);
        if (target === undefined) throw new Error(`no target ${name}`);
        return readFile(await updater.downloadTarget(target, path.join(targetDir, path.basename(name))));
      };
    });
  },
};

let mirror: HostileMirror;
let folder: string;

/** Removed with the others after the last attack: several run at once. */
function newFolder(): Promise<string> {
  return mkdtemp(path.join(folder, 'victim-'));
}

beforeAll(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'countersign-'));
  const honest = { ...attacks[0]!, name: 'honest', site: siteOf(scene.today) };
  mirror = await startHostileMirror([...attacks, honest], { root, patienceMs: 120_000 });
});

afterAll(async () => {
  await mirror.close();
  await rm(folder, { recursive: true, force: true });
});

test('every kind of attack is carried out, and what our client says to each is expected', () => {
  expect(ATTACK_KINDS.filter((kind) => !attacks.some((attack) => attack.kind === kind))).toEqual([]);
  const refused = attacks.filter(({ goal }) => goal === 'refused').map(({ name }) => name);
  expect(refused.toSorted()).toEqual(Object.keys(REASONS).toSorted());
  expect(new Set(attacks.map(({ name }) => name)).size).toBe(attacks.length);
});

describe.each([own, tufJs])('$name', (victim) => {
  test('installs what an honest mirror serves', async () => {
    const installed = await (await victim.arm('honest')).install(mirror.address('honest', 'attack'));
    expect(Object.fromEntries(installed)).toEqual({ [scene.wheel.fileName]: sha256Hex(scene.wheel.bytes) });
  });
});

describe('countersign client', () => {
  test.concurrent.each(attacks)('$kind, $name: $does', async (attack) => {
    const result = await carryOut(attack, own, scene, mirror, now);
    const verdict = attack.goal === 'served' ? 'safe' : 'refused';
    expect(result).toMatchObject({
      verdict,
      ...(verdict === 'refused' ? { code: REASONS[attack.name] } : {}),
    });
  });
});

describe('tuf-js', () => {
  // It has no rule against slow answers but a time limit of 100 s; the interop run waits for what happens.
  test.concurrent.each(attacks.filter(({ name }) => !slow.has(name)))(
    '$kind, $name: $does',
    async (attack) => {
      const result = await carryOut(attack, tufJs, scene, mirror, now);
      expect(result.verdict, result.words).toBe(attack.goal === 'served' ? 'safe' : 'refused');
    },
  );
});
