// A directory tree: every file below it, under its path with slashes, always in the same order. Links to files inside
// are followed; what else is no file is refused by name when it is hashed.
import type { Dirent } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError, messageOf } from '../../lib/errors.ts';
import type { Source, SourceBlock, SourcePosition } from './source.ts';

/** Files in one block: enough to be worth a message to a thread. */
const NAMES = 64;

/** @throws CountersignError `usage` when it is no directory. */
export async function openDirectory(directory: string, name: string): Promise<Source> {
  let real: string;
  try {
    real = await realpath(directory);
    await readdir(real);
  } catch (error) {
    throw new CountersignError('usage', `cannot read directory ${name}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  return { name, size: 0, blocks: (from) => blocks(real, from) };
}

async function* blocks(directory: string, { line }: SourcePosition): AsyncGenerator<SourceBlock> {
  let firstLine = line;
  let names: string[] = [];
  let number = 0;
  const block = (): SourceBlock => {
    const next = { line: firstLine + names.length, offset: firstLine + names.length - 1 };
    const job = { kind: 'files', directory, names, firstLine } as const;
    firstLine = next.line;
    names = [];
    return { job, next, consumed: 0 };
  };
  for await (const file of walk(directory, '')) {
    number += 1;
    if (number < line) continue;
    names.push(file);
    if (names.length === NAMES) yield block();
  }
  if (names.length > 0) yield block();
}

/** Depth first, by name: one directory of each level is in memory. */
async function* walk(directory: string, below: string): AsyncGenerator<string> {
  let entries: Dirent[];
  try {
    entries = await readdir(path.join(directory, below), { withFileTypes: true });
  } catch (error) {
    throw new CountersignError('manifest-invalid', `cannot read directory ${below}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of entries) {
    const name = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) yield* walk(directory, name);
    else yield name;
  }
}
