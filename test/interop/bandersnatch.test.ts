// bandersnatch mirrors real wheels, countersign mirrors the metadata and judges the tree: the commands are those of
// docs/mirrors.md, as they stand there.
import { chmod, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { expect, test } from 'vitest';
import { installBandersnatch } from '../../scripts/interop/bandersnatch.ts';
import { inCheckout } from '../../scripts/interop/checkout.ts';
import { installPip } from '../../scripts/interop/real-pip.ts';
import { run } from '../../scripts/interop/run.ts';
import { PypiShapedIndex } from '../support/pypi-shaped-index.ts';
import { tempDir } from '../support/temp-dir.ts';

const bandersnatch = await installBandersnatch();
const pip = await installPip();

interface Recipe {
  readonly config: string;
  /** A run of the mirror; syncing one project; deleting what the index deleted. */
  readonly commands: readonly [mirror: string, sync: string, clean: string];
}

/** The section of docs/mirrors.md, with the places of the test. */
async function recipe(folder: string, url: string): Promise<Recipe> {
  const text = await readFile(inCheckout('docs/mirrors.md'), 'utf8');
  const section = text
    .slice(text.indexOf('## With bandersnatch'))
    .replaceAll('https://index.example', url)
    .replaceAll(/\/(?:srv|etc)\//g, (place) => `${folder}${place}`);
  const [config = ''] = [...section.matchAll(/```ini\n(.*?)```/gs)].map(([, block]) => block);
  const [mirror = '', sync = '', clean = ''] = [...section.matchAll(/```sh\n(.*?)```/gs)].map(
    ([, block]) => block,
  );
  return { config, commands: [mirror, sync, clean] };
}

/** bandersnatch asks nobody without TLS. */
async function makeCertificate(folder: string): Promise<{ file: string; cert: Buffer; key: Buffer }> {
  const [file, key] = [path.join(folder, 'tls.pem'), path.join(folder, 'tls.key')];
  await run('openssl', [
    ...[
      'req',
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-keyout',
      key,
    ],
    ...['-out', file, '-days', '2', '-subj', '/CN=index', '-addext', 'subjectAltName=IP:127.0.0.1'],
  ]);
  return { file, cert: await readFile(file), key: await readFile(key) };
}

interface Site {
  readonly folder: string;
  readonly index: PypiShapedIndex;
  /** Real wheels. */
  readonly wheels: readonly string[];
  readonly commands: Recipe['commands'];
  /** Runs commands of the recipe. */
  readonly shell: (script: string) => Promise<Outcome>;
}

/** An index with twelve files, and a computer set up by the recipe; `change` alters the configuration. */
async function site(change: (config: string) => string = (config) => config): Promise<Site> {
  const kept = path.join(pip.program ?? '', 'wheels');
  const names = (await readdir(kept)).filter((name) => name.endsWith('-none-any.whl'));
  const wheels = names.map((name) => path.join(kept, name));
  const folder = await tempDir();
  const certificate = await makeCertificate(folder);
  const index = await PypiShapedIndex.serve(certificate);
  for (const wheel of wheels.slice(0, 12)) await index.upload(wheel);
  const { config, commands } = await recipe(folder, index.url);
  for (const place of ['etc/mirror', 'srv', 'bin'])
    await mkdir(path.join(folder, place), { recursive: true });
  await writeFile(path.join(folder, 'etc/bandersnatch.conf'), change(config));
  await writeFile(path.join(folder, 'etc/mirror/root.json'), index.repository.rootBytes);
  const countersign = path.join(folder, 'bin/countersign');
  const program = inCheckout('dist/src/main.js');
  await writeFile(countersign, `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`);
  await chmod(countersign, 0o755);
  const shell = async (script: string): Promise<Outcome> => {
    const bin = [path.join(folder, 'bin'), path.dirname(bandersnatch.program ?? '')].join(':');
    // The last command's status and output are those of the script; a failure before it ends it.
    const { file } = certificate;
    const trust = { SSL_CERT_FILE: file, NODE_EXTRA_CA_CERTS: file };
    const env = { PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: folder, ...trust };
    const wrapped = `set -e\n(${script}) 2>${folder}/stderr >${folder}/stdout && echo 0 || echo $?`;
    const status = Number(await run('sh', ['-c', wrapped], { cwd: folder, env }));
    const [stdout, stderr] = await Promise.all(
      ['stdout', 'stderr'].map((name) => readFile(path.join(folder, name), 'utf8')),
    );
    return { status, output: status === 0 || stdout !== '' ? (stdout ?? '') : (stderr ?? '') };
  };
  return { folder, index, wheels, commands, shell };
}

interface Outcome {
  readonly status: number;
  readonly output: string;
}

test.skipIf(bandersnatch.program === undefined || pip.program === undefined)(
  'the documented recipe: what bandersnatch fetched is what was signed, and what is not is named',
  { timeout: 300_000 },
  async () => {
    const { folder, index, wheels, commands, shell } = await site();
    const [mirror, sync, clean] = commands;
    expect(await shell(mirror)).toEqual({
      status: 0,
      output: expect.stringContaining('12 target files named, 12 there, 0 not there') as string,
    });

    expect(index.requests.filter((name) => name === 'simple')).toHaveLength(1);

    // New uploads, and a file that the index deleted, which bandersnatch keeps until it is told.
    const added = await index.upload(wheels[12] ?? '');
    const [gone = ''] = index.filesOf('alabaster').map((file) => file.path);
    await index.remove(gone);
    expect(await shell(mirror)).toEqual({
      status: 1,
      output: expect.stringMatching(
        new RegExp(
          `target-absent: ${gone} is there, and no signed metadata name it\n.*12 there, 0 not there`,
          's',
        ),
      ) as string,
    });
    expect(await shell(clean)).toMatchObject({ status: 0 });
    expect(await shell(mirror)).toMatchObject({ status: 0 });

    // A disk that lies, and somebody with access to the tree.
    const web = path.join(folder, 'srv/bandersnatch/web');
    const file = path.join(web, added);
    const bytes = await readFile(file);
    bytes[1000] = (bytes[1000] ?? 0) ^ 1;
    await writeFile(file, bytes);
    await writeFile(path.join(web, 'packages/planted-1.0-py3-none-any.whl'), 'nobody signed this');
    const { status, output } = await shell(mirror);
    expect(status).toBe(1);
    expect(output).toContain(`length-or-hash-mismatch: ${added} is not the file that signed metadata name`);
    expect(output).toContain('target-absent: packages/planted-1.0-py3-none-any.whl is there');
    await rm(path.join(web, 'packages/planted-1.0-py3-none-any.whl'));
    const project = [...index.projects.keys()].find((name) =>
      index.filesOf(name).some(({ path: at }) => at === added),
    );
    expect(await shell(sync.replace('demo', project ?? ''))).toMatchObject({ status: 0 });
    expect(await shell(mirror)).toMatchObject({ status: 0 });
  },
);

test.skipIf(bandersnatch.program === undefined || pip.program === undefined)(
  'over XML-RPC, its default, the recipe holds too: a later run asks for the projects that changed',
  { timeout: 300_000 },
  async () => {
    const { index, wheels, commands, shell } = await site((config) =>
      config.replace('api-method = simple\n', ''),
    );
    const complete = `${commands[0].trimEnd()} --complete\n`;
    expect(await shell(complete)).toEqual({
      status: 0,
      output: expect.stringContaining('12 target files named, 12 there, 0 not there') as string,
    });
    expect(index.requests).toContain('list_packages_with_serial');
    expect(index.requests).not.toContain('simple');
    index.requests.length = 0;
    const added = await index.upload(wheels[12] ?? '');
    expect(await shell(complete)).toMatchObject({ status: 0 });
    expect(index.requests).toContain('changelog_since_serial');
    expect(index.requests.filter((name) => name.startsWith('packages/'))).toEqual([added]);
  },
);

test.skipIf(bandersnatch.program === undefined || pip.program === undefined)(
  'of an index without serials bandersnatch mirrors nothing and is content: --complete is not',
  { timeout: 300_000 },
  async () => {
    const { index, commands, shell } = await site();
    index.serials = false;
    const [bandersnatchRun = ''] = commands[0].split('\n');
    expect(await shell(bandersnatchRun)).toMatchObject({ status: 0 });
    expect(index.requests.filter((name) => name.startsWith('packages/'))).toEqual([]);
    const { status, output } = await shell(`${commands[0].trimEnd()} --complete\n`);
    expect(status).toBe(1);
    expect(output).toContain('12 target files named, 0 there, 12 not there');
  },
);
