// Pages of an index that is careless about some of its files: the others stay installable.
import { describe, expect, test } from 'vitest';
import { makeWheel } from '../../src/demo/wheel.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { linkedPath } from '../../src/simple/index-page.ts';
import { HostileUpstream, jsonPage, proxyOf } from '../support/hostile-upstream.ts';

const FILE = 'packages/demo-1.0-py3-none-any.whl';

test('a wheel is not said to have a metadata file that nothing could verify', async () => {
  const upstream = await HostileUpstream.start();
  const hashed = { 'core-metadata': { sha256: sha256Hex('Name: demo') } };
  upstream.publish({
    'simple/demo/index.json': jsonPage('demo', [
      { filename: 'demo-1.0-py3-none-any.whl', url: `../../${FILE}`, 'core-metadata': true },
      { filename: 'demo-2.0-py3-none-any.whl', url: '../../packages/demo-2.0-py3-none-any.whl', ...hashed },
    ]),
  });
  const { address } = await proxyOf(upstream);
  const response = await fetch(`${address}/simple/demo/`, {
    headers: { accept: 'application/vnd.pypi.simple.v1+json' },
  });
  const { files } = (await response.json()) as { files: unknown[] };
  expect(files[0]).not.toHaveProperty('core-metadata');
  expect(files[0]).not.toHaveProperty('dist-info-metadata');
  expect(files[1]).toMatchObject(hashed);
});

test('a file with an odd name or size on a page hides no other', async () => {
  const upstream = await HostileUpstream.start();
  const file = { filename: 'demo-1.0-py3-none-any.whl', url: `../../${FILE}` };
  upstream.publish({
    'simple/demo/index.json': jsonPage('demo', [
      { filename: 'demo 0.9.zip', url: '../../packages/demo%200.9.zip' },
      { filename: 'dëmo-0.9.zip', url: '../../packages/d%C3%ABmo-0.9.zip' },
      { ...file, size: -1 },
    ]),
  });
  const { address } = await proxyOf(upstream);
  const response = await fetch(`${address}/simple/demo/`, {
    headers: { accept: 'application/vnd.pypi.simple.v1+json' },
  });
  expect(response.status).toBe(200);
  const { files } = (await response.json()) as { files: { filename: string; size?: number }[] };
  expect(files.map(({ filename }) => filename)).toEqual([file.filename]);
  expect(files[0]).not.toHaveProperty('size');
});

test('the page of a project that is published meanwhile is known at once', async () => {
  const upstream = await HostileUpstream.start();
  upstream.publish({ 'simple/other/index.json': jsonPage('other', []) });
  const { address } = await proxyOf(upstream, { freshMs: 10_000 });
  const ask = async () => (await fetch(`${address}/simple/demo/`)).status;
  expect(await ask()).toBe(404);
  upstream.publish({
    'simple/demo/index.html': '<a href="../../packages/demo-1.0.tar.gz">demo-1.0.tar.gz</a>',
  });
  upstream.repository.clock.advance(1000);
  expect(await ask()).toBe(200);
});

test('a link that is no percent-encoding leads to no target', () => {
  expect(linkedPath('../../packages/a%2Bb.zip')).toBe('packages/a+b.zip');
  expect(linkedPath('../../packages/%zz.zip')).toBeUndefined();
});

describe('a metadata file that a signed page names (PEP 658), over an upstream with nothing beside its wheels', () => {
  const { bytes, fileName } = makeWheel('demo', '1.0', 'print(1)\n');
  const wheel = `packages/${fileName}`;
  const METADATA = 'Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n';

  async function ask(content: Uint8Array, metadata: string) {
    const upstream = await HostileUpstream.start();
    const promised = { 'core-metadata': { sha256: sha256Hex(metadata) } };
    const page = jsonPage('demo', [{ filename: fileName, url: `../../${wheel}`, ...promised }]);
    upstream.publish({ 'simple/demo/index.json': page, [wheel]: content });
    const { address } = await proxyOf(upstream);
    const response = await fetch(`${address}/files/${wheel}.metadata`);
    return { status: response.status, reason: response.statusText, text: await response.text() };
  }

  test('is taken out of the wheel', async () => {
    expect(await ask(bytes, METADATA)).toMatchObject({ status: 200, text: METADATA });
  });

  test('is refused when the wheel has another one', async () => {
    const { status, reason } = await ask(bytes, 'Name: another\n');
    expect(status).toBe(403);
    expect(reason).toMatch(/\.metadata has sha256 [0-9a-f]{64}, its signed page says/);
  });

  test.each([
    ['no archive', Buffer.from('a wheel, as far as this test cares')],
    ['an archive that is cut off', bytes.subarray(0, -30)],
    ['an archive whose members are elsewhere', Buffer.concat([bytes.subarray(20), Buffer.alloc(20)])],
  ])('is not there: %s', async (_, content) => {
    expect((await ask(content, METADATA)).status).toBe(404);
  });
});
