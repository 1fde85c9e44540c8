// The number of bins changes on three nodes that share PostgreSQL and a bucket, while python-tuf refreshes without a pause
// and uploads arrive; the publisher is killed while it prepares bins, and another node goes on.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { pythonTuf } from '../../scripts/interop/components.ts';
import { closed, start } from '../../scripts/interop/run.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { generateKeyFile } from '../../src/signing/key-file.ts';
import { BinLayout } from '../../src/tuf/bins.ts';
import { serializeBundle } from '../../src/tuf/bundle.ts';
import { envelopeFile } from '../../src/tuf/envelope.ts';
import { nextBundle } from '../support/next-ceremony.ts';
import { eventually } from '../support/publisher-process.ts';
import { makeOfflineKeys, targetOf, testBundle } from '../support/repository.ts';
import { alive, foundIndex, publisherOf, said, startServers, WAIT_MS, type Servers } from './three-nodes.ts';

const FROM = 256;
const TO = 1024;
const PASSPHRASE = 'seven words that nobody would ever guess';
const CLIENT = path.join(import.meta.dirname, 'python_tuf_client.py');

let servers: Servers;
beforeAll(async () => {
  servers = await startServers();
});
afterAll(() => servers.stop());

const python = await pythonTuf();

describe.skipIf(python.program === undefined)(`${python.name} ${python.reason}`, () => {
  test(
    `${FROM} bins become ${TO}, whoever is killed, and no client notices`,
    { timeout: 5 * WAIT_MS },
    async () => {
      const index = await foundIndex(servers, FROM, prepare);
      const nodes = await index.serveThree();
      const publisher = async (): Promise<(typeof nodes)[number]> => {
        let found: (typeof nodes)[number] | undefined;
        await eventually(
          'a node publishes',
          async () => (found = await publisherOf(nodes).catch(() => undefined)) !== undefined,
          WAIT_MS,
        );
        return found!;
      };
      // One that stands by now, and is not the one that follows: a client needs an address that stays.
      const first = await publisher();
      const [, reader] = nodes.filter((node) => node !== first);
      const addressOf = (node: (typeof nodes)[number]): string =>
        node.lines.find(({ msg }) => msg === 'listening')!.address!;
      const url = addressOf(reader!);
      const upload = async (name: string): Promise<void> => {
        const target = targetOf(name);
        const answer = await fetch(`${url}/v1/events`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', prefer: 'wait=60' },
          body: JSON.stringify({ events: [{ changes: [{ op: 'add', path: name, ...target }] }] }),
        });
        expect(await answer.text()).toContain('"published"');
        const line = { path: name, length: target.length, sha256: target.hashes.sha256 };
        watcher.stdin?.write(`${JSON.stringify(line)}\n`);
      };
      const root = path.join(index.folder, 'root.json');
      const state = path.join(index.folder, 'client');
      const watcher = start(python.program!, [
        CLIENT,
        'watch',
        '--url',
        url,
        '--root',
        root,
        '--state',
        state,
      ]);
      watcher.stdin?.on('error', () => undefined);
      const watched = Promise.all([text(watcher.stdout!), text(watcher.stderr!), closed(watcher)]);
      await upload('before.whl');

      const imported = index.run('import', 'next.json', '--json');
      const prepared = (): number =>
        nodes.reduce((sum, node) => sum + said(node, 'bins of the layout to come are prepared'), 0);
      await eventually('bins are prepared', () => prepared() >= 1, WAIT_MS);
      first.child.kill('SIGKILL');
      await first.ended;
      const before = prepared();
      await upload('between.whl');
      await eventually('the next one goes on', () => prepared() > before, WAIT_MS);
      expect(await imported).toMatch(/"snapshot": \d+/);
      await upload('after.whl');

      watcher.stdin?.end();
      const [stdout, stderr, [code]] = await watched;
      expect(code, stderr.slice(-2000)).toBe(0);
      const { refreshes, published } = JSON.parse(stdout) as Record<string, number>;
      console.log(`python-tuf: ${refreshes} refreshes, ${published} uploads, none missed`);
      for (const { child, ended } of alive(nodes)) {
        child.kill('SIGTERM');
        expect((await ended)[0]).toBe(0);
      }
      expect(nodes.some((node) => said(node, 'helped to sign') > 0)).toBe(true);
      expect(await index.run('fsck', '--json')).toMatch(/"violations": \[\]/);
      const verified = JSON.parse(await index.run('audit', 'verify', '--json')) as Record<string, unknown>;
      expect(verified).toMatchObject({ sound: true, pending: 0, uncovered: 0, problems: [] });
    },
  );
});

/** An installation whose ceremony can be followed by another one: with the keys of targets and bins kept. */
async function prepare(folder: string): Promise<Record<string, string>> {
  await mkdir(folder);
  const key = { path: path.join(folder, 'online.key'), passphrase: PASSPHRASE };
  await generateKeyFile({ ...key, algorithm: 'ed25519' });
  const signer = await openFileSigner(key);
  const offlineKeys = await makeOfflineKeys(1);
  const now = systemClock.now();
  const plan = { offlineKeys, signer, layout: new BinLayout(FROM), format: 'succinct', now } as const;
  const bundle = await testBundle(plan);
  const next = { now, online: [signer], root: false, targets: false, binCount: TO };
  await writeFile(path.join(folder, 'bundle.json'), serializeBundle(bundle));
  await writeFile(
    path.join(folder, 'next.json'),
    serializeBundle(await nextBundle(bundle, offlineKeys, next)),
  );
  await writeFile(path.join(folder, 'root.json'), envelopeFile(bundle.roots[0]!));
  await signer.close();
  return { COUNTERSIGN_SIGNER: 'file:./online.key', COUNTERSIGN_SIGNER_PASSPHRASE: PASSPHRASE };
}
