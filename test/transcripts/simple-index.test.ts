// A complete signed index from one directory and one process: files come in as events, installers get pages and files,
// a verifying client the same bytes, and the proxy serves both to who cannot verify.
import { appendFile, mkdir, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { makeWheel } from '../../src/demo/wheel.ts';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { rehearse, runCommand, startService } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';

interface Page {
  readonly files: readonly { readonly url: string; readonly hashes: { readonly sha256: string } }[];
}

test('bucket and countersign are an index', async () => {
  const folder = await tempDir();
  await rehearse(folder, 16);
  await appendFile(path.join(folder, 'countersign.yaml'), '\nsimple-index: render\n');
  expect((await runCommand(folder, ['bootstrap', 'bundle.json'])).how).toBe(0);
  const wheel = makeWheel('my_demo', '1.0', 'answer = 42\n');
  const file = `packages/${wheel.fileName}`;
  await mkdir(path.join(folder, 'files/packages'), { recursive: true });
  await writeFile(path.join(folder, 'files', file), wheel.bytes);
  const service = startService(folder);
  const address = await service.address;
  const change = {
    op: 'add',
    path: file,
    length: wheel.bytes.length,
    hashes: { sha256: sha256Hex(wheel.bytes) },
    custom: { 'requires-python': '>=3.8' },
  };
  const sent = await fetch(`${address}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=30' },
    body: JSON.stringify({ events: [{ changes: [change] }] }),
  });
  expect(sent.status).toBe(200);

  const json = await fetch(`${address}/simple/My_Demo/`, { headers: { accept: JSON_TYPE } });
  expect(json.headers.get('content-type')).toBe(JSON_TYPE);
  expect(json.url).toMatch(/\/targets\/simple\/my-demo\/[0-9a-f]{64}\.index\.json$/);
  expect(json.headers.get('cache-control')).toContain('immutable');
  const page = (await json.json()) as Page;
  expect(page).toMatchObject({ name: 'my-demo', files: [{ 'requires-python': '>=3.8' }] });
  const html = await fetch(`${address}/simple/my-demo/`);
  expect(await html.text()).toContain(`>${wheel.fileName}</a>`);
  // As an installer follows it: a plain name, which leads to the one with the hash.
  const link = new URL(page.files[0]?.url ?? '', json.url);
  expect(link.pathname).toBe(`/targets/${file}`);
  const downloaded = await fetch(link);
  expect(downloaded.url).toMatch(/\/targets\/packages\/[0-9a-f]{64}\.my_demo-1\.0-py3-none-any\.whl$/);
  expect(sha256Hex(Buffer.from(await downloaded.arrayBuffer()))).toBe(change.hashes.sha256);
  expect((await fetch(`${address}/simple/absent/`)).status).toBe(404);
  expect((await fetch(`${address}/targets/packages/absent-1.0.tar.gz`)).status).toBe(404);

  const client = ['client', '--metadata-dir', 'trusted'];
  expect((await runCommand(folder, [...client, 'init', 'root.json'])).how).toBe(0);
  const places = ['--metadata-url', `${address}/metadata`, '--target-base-url', `${address}/targets`];
  const names = ['--target-name', 'simple/my-demo/index.html', '--target-name', file];
  const fetched = await runCommand(folder, [
    ...client,
    ...places,
    ...names,
    '--target-dir',
    'got',
    'download',
  ]);
  expect(fetched.how, fetched.stderr).toBe(0);

  service.signal('SIGTERM');
  await service.ended;
  const checked = await runCommand(folder, ['fsck']);
  expect(checked.how, checked.stdout).toBe(0);
}, 120_000);

test('an order that is carried out while no service runs renders pages too', async () => {
  const folder = await tempDir();
  await rehearse(folder, 16);
  await appendFile(path.join(folder, 'countersign.yaml'), '\nsimple-index: render\n');
  expect((await runCommand(folder, ['bootstrap', 'bundle.json'])).how).toBe(0);
  // What a service had accepted when it was stopped.
  const file = 'packages/my_demo-1.0-py3-none-any.whl';
  const target = { length: 4, hashes: { sha256: sha256Hex('demo') } };
  const ledger = await openSqliteLedger(path.join(folder, 'ledger.db'));
  await ledger.append([{ id: 'waits', changes: [{ op: 'add', path: file, target }] }], systemClock.now());
  await ledger.close();
  const renewed = await runCommand(folder, ['renew']);
  expect(renewed.how, renewed.stderr).toBe(0);
  const pages = await readdir(path.join(folder, 'repository/targets/simple/my-demo'));
  expect(pages.map((name) => name.split('.').slice(1).join('.')).sort()).toEqual([
    'index.html',
    'index.json',
  ]);
}, 120_000);
