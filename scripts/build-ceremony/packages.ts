// The packages inside the ceremony's one file: what esbuild read, described by the lock file and the packages themselves.
import { readdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Metafile } from 'esbuild';

export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX identifier or expression. */
  readonly licence: string;
  /** Text of its licence file. */
  readonly licenceText: string;
  /** SHA-512 of the archive that was installed, hex, from the lock file. */
  readonly sha512: string;
  /** Names and versions of those packages in the file that it depends on. */
  readonly dependsOn: readonly string[];
}

interface LockedPackage {
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

/** The folder of the package that a file belongs to: `node_modules/@noble/ed25519`; undefined for our own files. */
export function packageFolder(input: string): string | undefined {
  return /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/.exec(input)?.[0];
}

/**
 * Every package with at least one file in the bundle, in the order of name and version.
 * @throws Error when one is not in the lock file with its integrity, or has no licence.
 */
export async function bundledPackages(root: string, metafile: Metafile): Promise<BundledPackage[]> {
  const lock = JSON.parse(await readFile(path.join(root, 'package-lock.json'), 'utf8')) as {
    packages: Readonly<Record<string, LockedPackage>>;
  };
  const folders = new Set(Object.keys(metafile.inputs).flatMap((input) => packageFolder(input) ?? []));
  const packages = await Promise.all(
    [...folders].map(async (folder) => {
      const locked = lock.packages[folder];
      const name = folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length);
      const { version, integrity, license: licence, dependencies = {} } = locked ?? {};
      if (version === undefined || integrity === undefined || licence === undefined) {
        throw new Error(`package-lock.json does not give version, integrity and licence of ${folder}`);
      }
      return {
        name,
        version,
        licence,
        licenceText: await licenceText(path.join(root, folder)),
        sha512: sha512Of(integrity, folder),
        dependsOn: Object.keys(dependencies)
          .map((dependency) => nearest(dependency, folder, folders))
          .filter((found) => found !== undefined)
          .map((found) => reference(found, lock.packages[found]))
          .sort(),
      };
    }),
  );
  return packages.sort((a, b) => (`${a.name}@${a.version}` < `${b.name}@${b.version}` ? -1 : 1));
}

/** Node's own rule: the nearest node_modules upwards. */
function nearest(name: string, from: string, folders: ReadonlySet<string>): string | undefined {
  let above = `${from}/`;
  for (;;) {
    const candidate = `${above}node_modules/${name}`;
    if (folders.has(candidate)) return candidate;
    if (above === '') return undefined;
    above = above.slice(0, above.lastIndexOf('node_modules/'));
  }
}

function reference(folder: string, locked: LockedPackage | undefined): string {
  return `${folder.slice(folder.lastIndexOf('node_modules/') + 'node_modules/'.length)}@${locked?.version ?? ''}`;
}

function sha512Of(integrity: string, folder: string): string {
  const match = /(?:^| )sha512-([A-Za-z0-9+/]{86}==)(?: |$)/.exec(integrity);
  if (match?.[1] === undefined) throw new Error(`the integrity of ${folder} is not a SHA-512: ${integrity}`);
  return Buffer.from(match[1], 'base64').toString('hex');
}

async function licenceText(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /^licen[cs]e(?:\.(?:md|txt))?$/i.test(name)).sort();
  if (names[0] === undefined) throw new Error(`${path.basename(folder)} has no licence file`);
  return (await readFile(path.join(folder, names[0]), 'utf8')).replaceAll('\r\n', '\n').trimEnd();
}
