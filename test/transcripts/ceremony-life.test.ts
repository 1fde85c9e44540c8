// The life of a repository's offline keys: holders in separate directories who exchange files only. Every bundle is
// verified as the service does, and by tuf-js from root 1.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Updater } from 'tuf-js';
import { DownloadHTTPError } from 'tuf-js/dist/error.js';
import { expect, onTestFinished, test, vi } from 'vitest';
import { parseBundle, verifyBundle, type VerifiedBundle } from '../../src/tuf/bundle.ts';
import { formatExpires } from '../../src/tuf/lifetimes.ts';
import type { Computer } from '../support/ceremony-people.ts';
import { heldKey, holdCeremony } from '../support/ceremony-people.ts';
import { binFile, NOW, onlineFiles, testKey } from '../support/genesis-repository.ts';
import { tempDir } from '../support/temp-dir.ts';

const DAY_MS = 86_400_000;

async function result(office: Computer): Promise<{ bytes: Buffer; verified: VerifiedBundle }> {
  const bytes = await office.read('bundle.json');
  return { bytes, verified: await verifyBundle(parseBundle(bytes), office.now) };
}

test('ten years of keys, from genesis to a compromise', { timeout: 120_000 }, async () => {
  const dir = await tempDir();
  const keyid = async (name: string): Promise<string> => (await heldKey(name)).keyid;
  const rootKeys = ({ trusted }: VerifiedBundle): readonly string[] => trusted.root.signed.roles.root.keyids;

  const genesis = await result(await holdCeremony(join(dir, 'genesis'), 'genesis', ['holder-1', 'holder-2']));
  expect(genesis.verified.roots.map(({ version }) => version)).toEqual([1]);
  expect(genesis.verified.onlineKeyids).toEqual([await keyid('online-1')]);

  // The yearly renewal: everything anew, the same people.
  const renewal = await result(
    await holdCeremony(
      join(dir, 'renewal'),
      'renewal',
      ['holder-2', 'holder-3'],
      { kind: 'update', day: 300 },
      genesis.bytes,
    ),
  );
  expect(renewal.verified.trusted.root.signed).toMatchObject({
    version: 2,
    expires: formatExpires(NOW + 665 * DAY_MS),
  });
  expect([renewal.verified.targets.version, renewal.verified.bins.version]).toEqual([2, 2]);
  expect(rootKeys(renewal.verified)).toEqual(rootKeys(genesis.verified));

  // A holder leaves, another comes; targets and bins stay.
  const replaced = await result(
    await holdCeremony(
      join(dir, 'replaced'),
      'replaced',
      // The one who leaves signs for the old root only, the one who comes for the new root only.
      ['holder-1', 'holder-3', 'holder-4'],
      {
        kind: 'update',
        day: 301,
        holders: ['holder-1', 'holder-2', 'holder-4'],
        targets: 'keep',
        bins: 'keep',
      },
      renewal.bytes,
    ),
  );
  expect(rootKeys(replaced.verified)).toContain(await keyid('holder-4'));
  expect(rootKeys(replaced.verified)).not.toContain(await keyid('holder-3'));
  expect(replaced.verified.targets.version).toBe(2);

  // Five holders, three of whom must sign.
  const five = ['holder-1', 'holder-2', 'holder-4', 'holder-5', 'holder-6'];
  const raised = await result(
    await holdCeremony(
      join(dir, 'raised'),
      'raised',
      ['holder-1', 'holder-2', 'holder-5'],
      {
        kind: 'update',
        day: 310,
        holders: five,
        root: '{ threshold: 3, expires-in: 365d }',
        targets: 'keep',
        bins: 'keep',
      },
      replaced.bytes,
    ),
  );
  expect(raised.verified.trusted.root.signed.roles.root).toMatchObject({ threshold: 3 });
  expect(rootKeys(raised.verified)).toHaveLength(5);

  // The online key, with overlap: first both, then the new one alone.
  const three = { kind: 'update', holders: five, root: '{ threshold: 3, expires-in: 365d }' } as const;
  const signers = ['holder-1', 'holder-4', 'holder-6'];
  const both = await result(
    await holdCeremony(
      join(dir, 'both'),
      'both',
      signers,
      { ...three, day: 320, online: ['online-1', 'online-2'] },
      raised.bytes,
    ),
  );
  expect(both.verified.onlineKeyids).toEqual([await keyid('online-1'), await keyid('online-2')]);
  const second = await result(
    await holdCeremony(
      join(dir, 'second'),
      'second',
      signers,
      { ...three, day: 321, online: ['online-2'] },
      both.bytes,
    ),
  );
  expect(second.verified.onlineKeyids).toEqual([await keyid('online-2')]);

  // The online key was stolen: replaced at once, bins made anew.
  const recovered = await result(
    await holdCeremony(
      join(dir, 'compromise'),
      'compromise',
      signers,
      { ...three, day: 330, online: ['online-3'] },
      second.bytes,
    ),
  );
  expect(recovered.verified.roots).toHaveLength(7);
  expect(recovered.verified.onlineKeyids).toEqual([await keyid('online-3')]);
  expect(recovered.verified.trusted.binDelegation.keyids).toEqual([await keyid('online-3')]);
  // Every bundle is what a client needs that was shipped with the first root.
  const results: readonly [stage: string, day: number, onlineKey: string, VerifiedBundle][] = [
    ['genesis', 0, 'online-1', genesis.verified],
    ['renewal', 300, 'online-1', renewal.verified],
    ['replaced', 301, 'online-1', replaced.verified],
    ['raised', 310, 'online-1', raised.verified],
    // While both are trusted the service may sign with either.
    ['both-old', 320, 'online-1', both.verified],
    ['both-new', 320, 'online-2', both.verified],
    ['second', 321, 'online-2', second.verified],
    ['recovered', 330, 'online-3', recovered.verified],
  ];
  vi.useFakeTimers({ toFake: ['Date'] });
  onTestFinished(() => {
    vi.useRealTimers();
  });
  for (const [stage, day, onlineKey, verified] of results) {
    // tuf-js reads the clock itself.
    vi.setSystemTime(NOW + (day + 1) * DAY_MS);
    const client = join(dir, `client-${stage}`);
    expect(await refreshWithTufJs(client, genesis.verified, verified, onlineKey), stage).toBe(
      verified.roots.length,
    );
  }
});

/** Publishes a bundle with an empty index, and updates to it with tuf-js from the first root; the root it ends with. */
async function refreshWithTufJs(
  metadataDir: string,
  { roots: [first] }: VerifiedBundle,
  { roots, targets, bins, layout }: VerifiedBundle,
  onlineKey: string,
): Promise<number> {
  const online = await testKey(`held by ${onlineKey}`);
  const lives = 700 * DAY_MS;
  const { timestamp, snapshot } = await onlineFiles(
    { online, layout },
    {
      targets: targets.version,
      bins: bins.version,
      timestampExpires: lives,
      snapshotExpires: lives,
    },
  );
  const bin = await binFile(['a/file'], 1, NOW + lives, [online]);
  const files = new Map<string, Buffer>([
    ...roots.map(({ version, bytes }): [string, Buffer] => [`${version}.root.json`, bytes]),
    ['timestamp.json', timestamp],
    ['1.snapshot.json', snapshot],
    [`${targets.version}.targets.json`, targets.bytes],
    [`${bins.version}.bins.json`, bins.bytes],
    [`1.${layout.name(layout.indexOf('a/file'))}.json`, bin],
  ]);
  await mkdir(metadataDir);
  await writeFile(join(metadataDir, 'root.json'), first?.bytes ?? '');
  const client = new Updater({
    metadataDir,
    metadataBaseUrl: 'mem:/',
    fetcher: {
      downloadBytes: (url) => {
        const bytes = files.get(url.slice(url.lastIndexOf('/') + 1));
        return bytes === undefined ? Promise.reject(new DownloadHTTPError(url, 404)) : Promise.resolve(bytes);
      },
      downloadFile: (url) => Promise.reject(new Error(`not asked for: ${url}`)),
    },
  });
  await client.refresh();
  expect((await client.getTargetInfo('a/file'))?.length).toBe(1);
  const trusted = JSON.parse(await readFile(join(metadataDir, 'root.json'), 'utf8')) as {
    signed: { version: number };
  };
  return trusted.signed.version;
}
