// Refreshes with one look-up each, from nothing but the root, with tuf-js. Usage: tuf-js-refresh.js ROOT URL PATH FOLDER…,
// where the folders are new. Prints the seconds of each as a JSON list.
import { copyFile, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { Updater } from 'tuf-js';

const [rootFile = '', url = '', path = '', ...folders] = process.argv.slice(2);
const seconds: number[] = [];
for (const metadataDir of folders) {
  await mkdir(metadataDir, { recursive: true });
  await copyFile(rootFile, join(metadataDir, 'root.json'));
  const updater = new Updater({ metadataDir, metadataBaseUrl: url.replace(/\/$/, '') });
  const begun = performance.now();
  await updater.refresh();
  const found = await updater.getTargetInfo(path);
  seconds.push((performance.now() - begun) / 1000);
  if (found === undefined) throw new Error(`${path} is not found`);
}
console.log(JSON.stringify(seconds));
