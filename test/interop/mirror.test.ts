// A mirror as others meet it: behind a real nginx with the configuration of docs/mirrors.md, asked by python-tuf and by our
// own client; and in a real bucket.
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { pythonTuf } from '../../scripts/interop/components.ts';
import { installNginx } from '../../scripts/interop/nginx.ts';
import { run } from '../../scripts/interop/run.ts';
import { createMirrorMetrics } from '../../src/client/mirror/mirror-metrics.ts';
import { selectionOf } from '../../src/client/mirror/selection.ts';
import type { StoreSetting } from '../../src/config/backends.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openMirror } from '../../src/open-mirror.ts';
import { openStore } from '../../src/open-ports.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { expectSound } from '../support/oracle.ts';
import { foundRepository, publishPaths, type TestRepository } from '../support/repository.ts';
import { serveRepository } from '../support/repository-server.ts';
import { tempDir } from '../support/temp-dir.ts';
import { startNginx } from './nginx-server.ts';
import { BUCKET, CREDENTIALS, startS3Server } from '../../scripts/interop/s3-server.ts';

const nginx = await installNginx();
const python = await pythonTuf();

const PATHS = Array.from({ length: 12 }, (_, index) => `packages/ab/project_${index}-1.0+local.1.tar.gz`);

async function upstream(): Promise<TestRepository> {
  const repository = await foundRepository({ clock: new ManualClock(systemClock.now() - 60_000) });
  await publishPaths(repository, PATHS);
  return repository;
}

async function mirrorTo(repository: TestRepository, to: StoreSetting, withFiles = true): Promise<void> {
  const server = await serveRepository(repository.store);
  const opened = await openMirror(
    {
      metadataUrl: `${server.url}/metadata`,
      rootBytes: repository.rootBytes,
      to,
      stateDirectory: await tempDir(),
      ...(withFiles && { targets: { baseUrl: `${server.url}/targets`, selection: selectionOf({}) } }),
      jobs: 8,
      graceMs: 3_600_000,
      publishIncomplete: false,
    },
    {
      clock: systemClock,
      random: () => 0.5,
      metrics: createMirrorMetrics(),
      observe: { progress: () => undefined, stored: () => undefined, warn: () => undefined },
      signal: new AbortController().signal,
    },
  );
  onTestFinished(() => {
    opened.close();
  });
  expect(await opened.mirror.sync()).toMatchObject({ published: true, problemCount: 0 });
}

/** The blocks of docs/mirrors.md, as they stand there, with the directories of the test. */
async function documented(directory: string, web: string): Promise<string[]> {
  const text = await readFile(new URL('../../docs/mirrors.md', import.meta.url), 'utf8');
  return [...text.matchAll(/```nginx\n(.*?)```/gs)].map(([, block = '']) =>
    block.replaceAll('/srv/mirror', directory).replaceAll('/srv/bandersnatch/web', web),
  );
}

async function askPython(url: string, repository: TestRepository): Promise<{ downloaded: number }> {
  const folder = await tempDir();
  const targets = PATHS.map((name) => ({
    path: name,
    length: name.length,
    sha256: createHash('sha256').update(name).digest('hex'),
  }));
  await writeFile(path.join(folder, 'targets.json'), JSON.stringify(targets));
  await writeFile(path.join(folder, 'root.json'), repository.rootBytes);
  const script = new URL('python_tuf_client.py', import.meta.url).pathname;
  const files = ['--root', path.join(folder, 'root.json'), '--targets', path.join(folder, 'targets.json')];
  const args = [script, 'check', '--url', url, '--state', path.join(folder, 'state'), ...files];
  return JSON.parse(await run(python.program ?? '', args)) as { downloaded: number };
}

test.skipIf(nginx.program === undefined || python.program === undefined)(
  'nginx serves a mirror to python-tuf, with the documented configuration',
  async () => {
    const repository = await upstream();
    const directory = await tempDir();
    await mirrorTo(repository, { kind: 'file', directory });
    const [server = ''] = await documented(directory, directory);
    const url = await startNginx(nginx.program ?? '', (port) =>
      server.replace('server {', `server { listen 127.0.0.1:${port};`),
    );
    expect(await askPython(url, repository)).toMatchObject({ downloaded: PATHS.length });
    const timestamp = await fetch(`${url}/metadata/timestamp.json`);
    expect(timestamp.headers.get('cache-control')).toBe('public, max-age=2, must-revalidate');
    const root = await fetch(`${url}/metadata/1.root.json`);
    expect(root.headers.get('cache-control')).toBe('public, max-age=31536000, immutable');
    for (const hidden of ['.lock', '.mirror/journal.db', 'metadata/99.root.json']) {
      expect((await fetch(`${url}/${hidden}`)).status, hidden).toBe(404);
    }
  },
);

test.skipIf(nginx.program === undefined || python.program === undefined)(
  'nginx serves HASH.file from plain names, without a copy',
  async () => {
    const repository = await upstream();
    const [directory, web] = [await tempDir(), await tempDir()];
    await mirrorTo(repository, { kind: 'file', directory }, false);
    for (const name of PATHS) {
      await mkdir(path.dirname(path.join(web, name)), { recursive: true });
      await writeFile(path.join(web, name), name);
    }
    const [server = '', plain = ''] = await documented(directory, web);
    const url = await startNginx(nginx.program ?? '', (port) =>
      server.replace('server {', `server { listen 127.0.0.1:${port};\n${plain}`),
    );
    expect(await askPython(url, repository)).toMatchObject({ downloaded: PATHS.length });
  },
);

test('a mirror in a real bucket is sound, and has every target file', async () => {
  const server = await startS3Server();
  onTestFinished(() => server.stop());
  Object.assign(process.env, CREDENTIALS);
  const repository = await upstream();
  const to = {
    kind: 's3',
    bucket: BUCKET,
    prefix: 'mirror',
    region: 'us-east-1',
    endpoint: server.endpoint,
    pathStyle: true,
  } as const;
  await mirrorTo(repository, to);
  const store = await openStore({ store: to }, { clock: systemClock, random: () => 0.5 }, 'read');
  await expectSound({ store, clock: systemClock, rootBytes: repository.rootBytes, mirror: true });
  const files: string[] = [];
  for await (const { name } of store.list('targets/')) {
    const { bytes } = (await store.get(name, 1000)) ?? { bytes: Buffer.of() };
    files.push(Buffer.from(bytes).toString());
  }
  expect(files.sort()).toEqual([...PATHS].sort());
});
