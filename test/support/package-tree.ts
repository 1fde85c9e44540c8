// Installed packages as the architecture test sees them.
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { readText } from './source-tree.ts';

const ROOT = new URL('../..', import.meta.url).pathname;

/** `@noble/ed25519` of `@noble/ed25519/utils.js`. */
export function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}

/** The folders, from the root, of `names` and of everything that they depend on. */
export function packageClosure(names: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  const visit = (name: string, from: string): void => {
    // Node's own rule: the nearest node_modules upwards.
    for (let folder = from; ; folder = path.dirname(folder)) {
      const directory = path.join(folder, 'node_modules', name);
      if (existsSync(path.join(ROOT, directory, 'package.json'))) {
        if (found.has(directory)) return;
        found.set(directory, directory);
        const { dependencies = {} } = JSON.parse(readText(path.join(directory, 'package.json'))) as {
          dependencies?: Record<string, string>;
        };
        for (const dependency of Object.keys(dependencies)) visit(dependency, directory);
        return;
      }
      if (folder === '.') throw new Error(`package ${name}, needed in ${from}, is not installed`);
    }
  };
  for (const name of names) visit(name, '.');
  return found;
}

/** The code of a package, without that of packages inside it. */
export function packageCode(directory: string): string[] {
  return readdirSync(path.join(ROOT, directory), { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.[cm]?js$/.test(name) && !name.includes('node_modules/'))
    .map((name) => path.join(directory, name));
}
