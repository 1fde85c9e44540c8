// Refreshes with one look-up each, from nothing but the root, with countersign/client. Usage: own-refresh.js ROOT URL PATH
// FOLDER…, where the folders are new. Prints the seconds of each as a JSON list.
import { readFile } from 'node:fs/promises';
import process from 'node:process';
import { openUpdater } from '../../../src/client.ts';

const [rootFile = '', metadataUrl = '', path = '', ...folders] = process.argv.slice(2);
const root = await readFile(rootFile);
const seconds: number[] = [];
for (const metadataDir of folders) {
  const updater = await openUpdater({ metadataDir, metadataUrl, root });
  const begun = performance.now();
  await updater.refresh();
  const found = await updater.find(path);
  seconds.push((performance.now() - begun) / 1000);
  if (found === undefined) throw new Error(`${path} is not found`);
}
console.log(JSON.stringify(seconds));
