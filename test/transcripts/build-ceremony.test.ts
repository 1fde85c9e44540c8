// The one file that an air-gapped computer is given: the same bytes wherever it is built, nothing in it that could talk
// to a network, and nothing around it that it needs.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Metafile } from 'esbuild';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { bundleCeremony, NATIVE } from '../../scripts/build-ceremony/bundle.ts';
import { bundledPackages } from '../../scripts/build-ceremony/packages.ts';
import { buildCeremony, PROGRAM } from '../../scripts/build-ceremony.ts';
import { VERSION } from '../../src/lib/version.ts';
import { readText } from '../support/source-tree.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
const run = promisify(execFile);

let work: string;
let files: ReadonlyMap<string, Uint8Array>;
let metafile: Metafile;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'countersign-'));
  files = await buildCeremony(ROOT, join(work, 'product'));
  ({ metafile } = await bundleCeremony(ROOT));
});
afterAll(() => rm(work, { recursive: true, force: true }));

function text(name: string): string {
  return Buffer.from(files.get(name) ?? []).toString('utf8');
}

/** A copy of what is built from, in a folder with another name and of another depth. */
async function cloneOf(folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  for (const name of ['src', 'keys-ceremony', 'package.json', 'package-lock.json', 'LICENSE']) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true });
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  return folder;
}

test('two folders, one result', async () => {
  const first = await cloneOf(join(work, 'one'));
  const second = await cloneOf(join(work, 'somewhere else', 'deeper', 'two'));
  // What lies above must not matter either.
  await writeFile(join(work, 'somewhere else', 'tsconfig.json'), '{"compilerOptions":{"target":"es5"}}');
  const one = await buildCeremony(first, join(work, 'built-1'));
  const two = await buildCeremony(second, join(work, 'built-2'));
  expect([...one.keys()]).toEqual([PROGRAM, `${PROGRAM}.sha256`, `${PROGRAM}.cdx.json`, 'LICENSES']);
  for (const [name, content] of one) {
    expect(Buffer.from(content).equals(two.get(name) ?? Buffer.of()), name).toBe(true);
    expect(Buffer.from(content).equals(files.get(name) ?? Buffer.of()), name).toBe(true);
    expect(Buffer.from(content).toString('utf8')).not.toMatch(/\/(?:tmp|home|one|two)\//);
  }
});

test('runs with Node alone, and says which file it is', async () => {
  const empty = join(work, 'empty');
  await mkdir(empty);
  await writeFile(join(empty, PROGRAM), files.get(PROGRAM) ?? '');
  // Not even a search path: whatever it runs or loads from elsewhere is missing here.
  const here = { cwd: empty, env: { PATH: '' } };
  const { stdout: version } = await run(process.execPath, [PROGRAM, '--version'], here);
  const sha256 = createHash('sha256')
    .update(files.get(PROGRAM) ?? '')
    .digest('hex');
  expect(version).toBe(`${VERSION}\nsha256 ${sha256}\n`);
  expect(text(`${PROGRAM}.sha256`)).toBe(`${sha256}  ${PROGRAM}\n`);
  const { stdout } = await run(process.execPath, [PROGRAM, 'rehearse', '--out', 'trial', '--json'], here);
  expect(JSON.parse(stdout)).toMatchObject({
    next: ['countersign bootstrap bundle.json', 'countersign serve'],
  });
});

test('loads nothing that could reach a network', () => {
  const allowed =
    /^(?:node:)?(?:child_process|constants|crypto|events|fs|fs\/promises|module|os|path|process|readline|readline\/promises|stream|tty|url|util|buffer|string_decoder|assert)$/;
  const outputs = Object.values(metafile.outputs);
  expect(outputs.length).toBe(1);
  const loaded = outputs.flatMap(({ imports }) => imports.map(({ path }) => path));
  expect(loaded.length).toBeGreaterThan(3);
  expect(loaded.filter((name) => !allowed.test(name) && name !== NATIVE)).toEqual([]);
  // What is loaded by other means would not be in the list above.
  const program = text(PROGRAM);
  expect(program).not.toMatch(/\b(?:fetch|WebSocket|EventSource|XMLHttpRequest)\s*\(/);
  expect(program).not.toMatch(/process\.binding|getBuiltinModule|WebAssembly/);
  for (const [, name] of program.matchAll(/\b(?:__)?require\(\s*["'`]([^"'`]+)["'`]\s*\)/g)) {
    expect(name).toMatch(allowed);
  }
  expect(program.match(/\brequire\((?!["'`])[^)]*\)/g) ?? []).toEqual([]);
});

test('child processes are only what the command line library would start for subcommands in files', () => {
  const users = Object.entries(metafile.inputs)
    .filter(([, { imports }]) => imports.some(({ path }) => /^(?:node:)?child_process$/.test(path)))
    .map(([name]) => name);
  expect(users).toEqual(['node_modules/commander/lib/command.js']);
});

test('the list of what is inside is what esbuild read', () => {
  const sbom = JSON.parse(text(`${PROGRAM}.cdx.json`)) as {
    specVersion: string;
    serialNumber: string;
    components: { 'bom-ref': string; purl: string; licenses: unknown[]; hashes: { content: string }[] }[];
    dependencies: { ref: string; dependsOn: string[] }[];
  };
  expect(sbom.specVersion).toBe('1.6');
  expect(sbom.serialNumber).toMatch(
    /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
  );
  const lock = JSON.parse(readText('package-lock.json')) as {
    packages: Record<string, { version: string; integrity: string }>;
  };
  // By another way than the program that writes the list: every input is a file of ours or of a locked package.
  const read = new Map<string, string>();
  for (const input of Object.keys(metafile.inputs)) {
    const folder = Object.keys(lock.packages)
      .filter((name) => name !== '' && input.startsWith(`${name}/`))
      .sort((a, b) => b.length - a.length)[0];
    if (folder === undefined) {
      expect(input).toMatch(/^(?:src|keys-ceremony)\/[\w/-]+\.ts$/);
      continue;
    }
    const { version = '', integrity = '' } = lock.packages[folder] ?? {};
    read.set(`${folder.replace(/^.*node_modules\//, '')}@${version}`, integrity);
  }
  expect(read.size).toBeGreaterThan(5);
  expect(sbom.components.map((component) => component['bom-ref']).sort()).toEqual([...read.keys()].sort());
  for (const { 'bom-ref': ref, hashes, licenses, purl } of sbom.components) {
    expect(`sha512-${Buffer.from(hashes[0]?.content ?? '', 'hex').toString('base64')}`).toBe(read.get(ref));
    expect(licenses.length).toBe(1);
    expect(purl).toBe(`pkg:npm/${ref.replace(/^@/, '%40')}`);
    expect(text('LICENSES')).toContain(`\n${ref.replace(/@([^@]+)$/, ' $1')} (`);
  }
  // Every package is reached from the program: none is there without a reason.
  const edges = new Map(sbom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const reached = new Set([`countersign-ceremony@${VERSION}`]);
  for (const ref of reached) for (const next of edges.get(ref) ?? []) reached.add(next);
  expect(reached.size).toBe(read.size + 1);
});

test('a package without a locked integrity is refused', async () => {
  const inputs = { 'node_modules/unlocked/index.js': { bytes: 1, imports: [] } };
  await expect(bundledPackages(ROOT, { inputs, outputs: {} })).rejects.toThrow(
    'package-lock.json does not give version, integrity and licence of node_modules/unlocked',
  );
});
