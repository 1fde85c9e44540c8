// Writes a list of files of PyPI's size to standard output or to a file: `generate-manifest [FILES] [--csv] [--gzip]
// [--to FILE]`. Every file is a function of its number: the same list each time, in memory that does not grow.
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import process from 'node:process';
import type { Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { createGzip } from 'node:zlib';
import { PYPI_FILES, pypiFile } from './scale/pypi-files.ts';

/** Lines written at once. */
const LINES = 4096;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { csv: { type: 'boolean' }, gzip: { type: 'boolean' }, to: { type: 'string' } },
});
const files = Number(positionals[0] ?? PYPI_FILES);
if (!Number.isSafeInteger(files) || files < 1)
  throw new Error(`${positionals[0] ?? ''} is no number of files`);

const file: Writable = values.to === undefined ? process.stdout : createWriteStream(values.to);
const gzip = values.gzip === true ? createGzip({ level: 1 }) : undefined;
gzip?.pipe(file);
const output: Writable = gzip ?? file;

if (values.csv === true) output.write('path,size,sha256_digest\n');
for (let first = 0; first < files; first += LINES) {
  let text = '';
  for (let number = first; number < Math.min(first + LINES, files); number++) {
    const { path, target } = pypiFile(number);
    const { length, hashes } = target;
    text +=
      values.csv === true
        ? `${path},${length},${hashes.sha256}\n`
        : `{"path":"${path}","length":${length},"sha256":"${hashes.sha256}"}\n`;
  }
  if (!output.write(text, 'latin1')) await once(output, 'drain');
}
if (output !== process.stdout) {
  output.end();
  if (file !== process.stdout) await once(file, 'finish');
}
