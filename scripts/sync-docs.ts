// The documents that are generated from code. `npm run docs` writes them; `npm run check` fails when one is stale.
import { readFile, writeFile } from 'node:fs/promises';
import process from 'node:process';
import { pathToFileURL } from 'node:url';
import { configurationPage } from './docs/configuration-page.ts';
import { errorsPage } from './docs/errors-page.ts';

const PAGES: readonly (readonly [file: string, render: () => string])[] = [
  ['docs/configuration.md', configurationPage],
  ['docs/errors.md', errorsPage],
];

/** The generated documents whose file is not what the code says, in the current directory. */
export async function staleDocs(): Promise<string[]> {
  const stale: string[] = [];
  for (const [file, render] of PAGES) {
    const written = await readFile(file, 'utf8').catch(() => undefined);
    if (written !== render()) stale.push(file);
  }
  return stale;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const [file, render] of PAGES) {
    await writeFile(file, render());
    console.log(`wrote ${file}`);
  }
}
