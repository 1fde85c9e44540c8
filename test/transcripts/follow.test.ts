// An index that sends no events, kept signed by following it: the built programs, a real service, and an index that
// changes under them.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { rehearse, runCommand, startService } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const JSON_TYPE = 'application/vnd.pypi.simple.v1+json';

/** A simple index: `files` by path below `files/`, the project being the first segment. */
async function startIndex(files: Map<string, string>): Promise<string> {
  const server = createServer((request, response) => {
    const [, top = '', project = '', name = ''] = (request.url ?? '').split('/');
    const answer = (document: unknown): void => {
      response.writeHead(200, { 'content-type': JSON_TYPE }).end(JSON.stringify(document));
    };
    const listed = [...files].map(([path, content]) => ({ path, content, project: path.split('/')[0] }));
    if (top === 'files') {
      const content = files.get(`${project}/${name}`);
      response.writeHead(content === undefined ? 404 : 200).end(content);
    } else if (project === '') {
      answer({
        meta: {},
        projects: [...new Set(listed.map((file) => file.project))].map((it) => ({ name: it })),
      });
    } else {
      const own = listed.filter((file) => file.project === project);
      answer({
        meta: {},
        name: project,
        files: own.map(({ path, content }) => ({
          filename: path.split('/')[1],
          url: `/files/${path}`,
          size: content.length,
          hashes: { sha256: sha256Hex(content) },
        })),
      });
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple/`;
}

test('follow: new, changed and removed files; killed, and once more', { timeout: 120_000 }, async () => {
  const directory = join(await tempDir(), 'installation');
  await rehearse(directory, 16);
  expect((await runCommand(directory, ['bootstrap', 'bundle.json'])).how).toBe(0);
  const service = startService(directory);
  const address = await service.address;
  const files = new Map([
    ['alpha/alpha-1.0.tar.gz', 'alpha one'],
    ['beta/beta-1.0.tar.gz', 'beta one'],
  ]);
  const index = await startIndex(files);
  const follow = ['follow', '--simple-index', index, '--url', address, '--every', '100ms'];
  const signed = async (path: string): Promise<string | undefined> => {
    const response = await fetch(`${address}/v1/targets/files/${path}`);
    if (response.status === 404) return undefined;
    const { hashes } = ((await response.json()) as { target: { hashes: { sha256: string } } }).target;
    return hashes.sha256;
  };

  const first = await runCommand(directory, [...follow, '--once', '--fetch', '--json']);
  expect(first.how, first.stderr).toBe(0);
  expect(JSON.parse(first.stdout)).toMatchObject({ projects: 2, changed: 2, published: 2, waiting: 0 });
  expect(await signed('beta/beta-1.0.tar.gz')).toBe(sha256Hex('beta one'));

  files.set('beta/beta-1.0.tar.gz', 'beta, but not as it was');
  const changed = await runCommand(directory, [...follow, '--once']);
  expect(changed.how).toBe(1);
  expect(changed.stdout).toContain('files/beta/beta-1.0.tar.gz: its content changed');
  expect(await signed('beta/beta-1.0.tar.gz')).toBe(sha256Hex('beta one'));

  files.delete('beta/beta-1.0.tar.gz');
  files.set('gamma/gamma-1.0.tar.gz', 'gamma one');
  const until = async (condition: () => Promise<boolean>): Promise<void> => {
    while (!(await condition())) await systemClock.sleep(50);
  };
  const watching = runCommand(
    directory,
    follow,
    until(async () => (await signed('gamma/gamma-1.0.tar.gz')) === sha256Hex('gamma one')),
  );
  expect((await watching).how).toBe('SIGKILL');
  files.set('gamma/gamma-1.1.tar.gz', 'gamma two');
  const last = await runCommand(directory, [...follow, '--once']);
  expect(last.how, last.stderr).toBe(0);
  expect(await signed('beta/beta-1.0.tar.gz')).toBeUndefined();
  expect(await signed('gamma/gamma-1.1.tar.gz')).toBe(sha256Hex('gamma two'));

  files.clear();
  const broken = await runCommand(directory, [...follow, '--once', '--max-removals', '2']);
  expect(broken.how).toBe(1);
  expect(broken.stderr).toContain('no longer names 3 files');
  expect(broken.stderr).toContain('--max-removals');
  expect(await signed('gamma/gamma-1.1.tar.gz')).toBe(sha256Hex('gamma two'));

  const other = follow.map((argument) => (argument === index ? 'http://127.0.0.1:9/simple/' : argument));
  const stranger = await runCommand(directory, [...other, '--once']);
  expect(stranger.how).toBe(1);
  expect(stranger.stderr).toContain(`follow.db follows ${index}`);
  service.signal('SIGTERM');
  expect((await service.ended).how).toBe(0);
  expect((await runCommand(directory, ['fsck'])).how).toBe(0);
});
