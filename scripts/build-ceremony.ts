// `npm run build:ceremony`: what an air-gapped computer is given. One program file, its SHA-256, what is inside it, and
// the licences of what is inside it.
//   node dist/scripts/build-ceremony.js [FOLDER]      default: build/ceremony
import { createHash } from 'node:crypto';
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { bundleCeremony } from './build-ceremony/bundle.ts';
import { bundledPackages, type BundledPackage } from './build-ceremony/packages.ts';
import { sbomOf } from './build-ceremony/sbom.ts';

export const PROGRAM = 'countersign-ceremony.mjs';

/** Builds from the tree at `root` into `folder`; the names and contents of the files, which are written over. */
export async function buildCeremony(root: string, folder: string): Promise<ReadonlyMap<string, Uint8Array>> {
  const { program, metafile } = await bundleCeremony(root);
  const packages = await bundledPackages(root, metafile);
  const { version, license: licence } = JSON.parse(
    await readFile(path.join(root, 'package.json'), 'utf8'),
  ) as {
    version: string;
    license: string;
  };
  const sha256 = createHash('sha256').update(program).digest('hex');
  const files = new Map<string, Uint8Array>([
    [PROGRAM, program],
    [`${PROGRAM}.sha256`, Buffer.from(`${sha256}  ${PROGRAM}\n`)],
    [
      `${PROGRAM}.cdx.json`,
      Buffer.from(sbomOf({ name: 'countersign-ceremony', version, licence, sha256 }, packages)),
    ],
    ['LICENSES', Buffer.from(licencesOf(await readFile(path.join(root, 'LICENSE'), 'utf8'), packages))],
  ]);
  await mkdir(folder, { recursive: true });
  for (const [name, content] of files) await writeFile(path.join(folder, name), content);
  await chmod(path.join(folder, PROGRAM), 0o755);
  return files;
}

function licencesOf(own: string, packages: readonly BundledPackage[]): string {
  const rule = '='.repeat(80);
  return [
    `countersign-ceremony\n\n${own.trimEnd()}`,
    ...packages.map(
      ({ name, version, licence, licenceText }) => `${name} ${version} (${licence})\n\n${licenceText}`,
    ),
  ]
    .map((text) => `${text}\n`)
    .join(`\n${rule}\n\n`);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const folder = process.argv[2] ?? 'build/ceremony';
  for (const [name, content] of await buildCeremony(process.cwd(), folder)) {
    console.log(`wrote ${path.join(folder, name)} (${content.length} bytes)`);
  }
}
