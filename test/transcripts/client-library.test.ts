// The example of docs/client.md, as a program of somebody else has it: the built package, imported by its name.
import { execFile } from 'node:child_process';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { hashedTargetPath } from '../../src/tuf/layout.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { foundRepository, publishPaths } from '../support/repository.ts';
import { readText } from '../support/source-tree.ts';
import { tempDir } from '../support/temp-dir.ts';

const PACKAGE = new URL('../..', import.meta.url).pathname;
const TSC = path.join(PACKAGE, 'node_modules/typescript/bin/tsc');
const PATH = 'packages/demo-1.0.tar.gz';

interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

async function node(args: readonly string[], cwd: string): Promise<Ran> {
  const attempt = promisify(execFile)(process.execPath, args, { cwd });
  return attempt.then(
    (done) => ({ code: 0, ...done }),
    (error: unknown) => error as Ran,
  );
}

/** A folder with the example, and `countersign` where npm would have installed it. */
async function program(): Promise<string> {
  const folder = await tempDir();
  const example = /^```js\n(.*?)^```$/ms.exec(readText('docs/client.md'))?.[1];
  await writeFile(path.join(folder, 'example.mjs'), example ?? '');
  await mkdir(path.join(folder, 'node_modules/@types'), { recursive: true });
  await symlink(PACKAGE, path.join(folder, 'node_modules/countersign'));
  await symlink(
    path.join(PACKAGE, 'node_modules/@types/node'),
    path.join(folder, 'node_modules/@types/node'),
  );
  return folder;
}

test('the example downloads, goes on from what it trusts, and says what it refuses', async () => {
  const repository = await foundRepository({ clock: new ManualClock(systemClock.now()) });
  await publishPaths(repository, [PATH]);
  let target = PATH;
  const server = createServer((request, response) => {
    const name = request.url?.slice(1) ?? '';
    if (name === `targets/${hashedTargetPath(PATH, sha256Hex(PATH))}`) {
      response.end(target);
      return;
    }
    repository.store.get(name, 1_000_000).then(
      (object) => (object === undefined ? response.writeHead(404).end() : response.end(object.bytes)),
      () => response.writeHead(500).end(),
    );
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const index = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const folder = await program();
  await writeFile(path.join(folder, 'root.json'), repository.rootBytes);

  const first = await node(['example.mjs', index, PATH], folder);
  expect(first).toMatchObject({ code: 0, stderr: '' });
  expect(first.stdout).toBe(`files/packages%2Fdemo-1.0.tar.gz: ${PATH.length} bytes of snapshot 2\n`);
  expect(await readFile(path.join(folder, 'files/packages%2Fdemo-1.0.tar.gz'), 'utf8')).toBe(PATH);

  expect(await node(['example.mjs', index, 'packages/other-1.0.tar.gz'], folder)).toMatchObject({
    code: 1,
    stderr: 'packages/other-1.0.tar.gz is not in snapshot 2\n',
  });

  target = PATH.toUpperCase();
  await writeFile(path.join(folder, 'files/packages%2Fdemo-1.0.tar.gz'), 'damaged');
  const refused = await node(['example.mjs', index, PATH], folder);
  expect(refused).toMatchObject({ code: 1, stdout: '' });
  expect(refused.stderr).toMatch(
    /^refused, length-or-hash-mismatch: .* signed metadata says [0-9a-f]{64}\n$/,
  );
});

test('its types are those of the package', async () => {
  const folder = await program();
  const example = await readFile(path.join(folder, 'example.mjs'), 'utf8');
  // Were the types not found, everything would be allowed.
  const wrong =
    '\n// @ts-expect-error the directory is missing\nawait openUpdater({ metadataUrl: index });\n';
  await writeFile(path.join(folder, 'example.mjs'), example + wrong);
  const options = ['--noEmit', '--allowJs', '--checkJs', '--strict', '--target', 'es2023'];
  options.push('--module', 'nodenext', '--types', 'node', '--skipLibCheck');
  expect(await node([TSC, ...options, 'example.mjs'], folder)).toMatchObject({ code: 0, stdout: '' });
}, 90_000);
