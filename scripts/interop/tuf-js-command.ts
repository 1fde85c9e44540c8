// tuf-js in the command form of the TUF conformance suite. A refusal is its own message, and status 1.
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { Updater } from 'tuf-js';

const text = { type: 'string' } as const;
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'metadata-dir': text,
    'metadata-url': text,
    'target-name': text,
    'target-base-url': text,
    'target-dir': text,
  },
});
const [action = '', root = ''] = positionals;
const {
  'metadata-dir': metadataDir = '',
  'metadata-url': metadataBaseUrl = '',
  'target-name': target = '',
  'target-dir': targetDir,
  'target-base-url': targetBaseUrl,
} = values;

try {
  if (action === 'init') await copyFile(root, path.join(metadataDir, 'root.json'));
  else await update();
} catch (error) {
  process.stderr.write(
    `${error instanceof Error ? `${error.constructor.name}: ${error.message}` : String(error)}\n`,
  );
  process.exitCode = 1;
}

async function update(): Promise<void> {
  const updater = new Updater({
    metadataDir,
    metadataBaseUrl,
    ...(targetDir === undefined ? {} : { targetDir }),
    ...(targetBaseUrl === undefined ? {} : { targetBaseUrl }),
  });
  await updater.refresh();
  if (action !== 'download') return;
  const found = await updater.getTargetInfo(target);
  if (found === undefined) throw new Error(`target ${target} not found`);
  await updater.downloadTarget(found);
}
