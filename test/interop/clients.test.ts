// Every client that can be had, against the built service: what each of them must accept, and what it must refuse.
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CLIENTS } from '../../scripts/interop/clients.ts';
import { Installation, makeUploads, type Service } from '../../scripts/interop/installation.ts';
import { systemClock } from '../../src/lib/clock.ts';

const BINS = 16;
const DAY_MS = 86_400_000;
const uploads = makeUploads(40, '1.0');
const clients = await Promise.all(
  CLIENTS.map(async (kind) => ({ kind, component: await kind.install(), name: kind.name })),
);

describe.each(['succinct', 'prefixes'] as const)('%s', (format) => {
  let folder: string;
  let opened = 0;
  let installation: Installation;
  let service: Service;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'countersign-'));
    installation = await Installation.found(join(folder, 'index'), BINS, format);
    service = await installation.serve();
    await service.publish(uploads);
  });
  afterAll(async () => {
    await service.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const readers = clients.filter(({ kind }) => kind.formats.includes(format));

  describe.each(readers)('$name $component.reason', ({ kind, component: { program } }) => {
    const open = () =>
      kind.open(program ?? '', {
        rootFile: installation.root,
        metadataUrl: `${service.url}/metadata`,
        targetsUrl: `${service.url}/targets`,
        directory: join(folder, `client-${++opened}`),
      });

    test.skipIf(program === undefined)('refreshes, downloads, and knows what is absent', async () => {
      const client = await open();
      const first = await client.refresh();
      const { published } = await service.status();
      expect(first).toMatchObject({ root: 1, targets: 1, snapshot: published.snapshot.version });
      for (const { path, content } of uploads.slice(0, 3)) {
        expect(await readFile(await client.download(path), 'utf8')).toBe(content);
      }
      await expect(client.download('packages/00/absent-1.0.tar.gz')).rejects.toThrow(/not found|no role/i);
    });

    test.skipIf(program === undefined)('refuses what has expired, by its own clock', async () => {
      const client = await open();
      const now = systemClock.now();
      await client.refresh(now + DAY_MS / 4);
      await expect(client.refresh(now + 3 * DAY_MS)).rejects.toThrow(/expired/i);
      await expect(client.refresh(now + 400 * DAY_MS)).rejects.toThrow(/expired/i);
    });
  });
});
