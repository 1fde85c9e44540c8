// The configuration file for a new installation: every setting with its meaning, from the same schema that is read.
import type { TObject } from 'typebox';
import { stringify } from 'yaml';
import { isSection, listSettings, type Setting } from './settings.ts';

/** Characters of a comment line, the "# " included. */
const WIDTH = 100;

/** A commented configuration file that says what the defaults say: settings without a default are commented out. */
export function renderConfigFile(schema: TObject): string {
  const settings = new Map(listSettings(schema).map((entry) => [entry.key, entry]));
  const blocks: string[] = [
    [
      '# Configuration of countersign. Every line states the default; lines that start with "#" are off.',
      '# Relative paths start at the directory of this file. docs/configuration.md has the same list.',
    ].join('\n'),
  ];
  for (const [name, child] of Object.entries(schema.properties)) {
    const leaf = settings.get(name);
    if (leaf !== undefined) blocks.push(renderSetting(leaf, name, ''));
    if (!isSection(child)) continue;
    const leaves = Object.keys(child.properties).flatMap((key) => settings.get(`${name}.${key}`) ?? []);
    const off = leaves.every((entry) => entry.schema.default === undefined);
    const lines = [
      `${name}:`,
      ...leaves.map((entry) => renderSetting(entry, entry.key.slice(name.length + 1), '  ')),
    ];
    const block = lines.join('\n');
    // A section is off as a whole: removing "# " from its lines is all it takes.
    blocks.push(off ? block.replaceAll(/^(?:# )?/gm, '# ') : block);
  }
  return `${blocks.join('\n\n')}\n`;
}

function renderSetting({ env, schema }: Setting, name: string, indent: string): string {
  const value = schema.default ?? schema.examples?.[0] ?? '';
  const off = schema.default === undefined ? '# ' : '';
  const comment = wrap(`${schema.description} (${env})`, WIDTH - indent.length - 2);
  return [
    ...comment.map((text) => `${indent}# ${text}`),
    `${off}${indent}${name}: ${stringify(value).trimEnd()}`,
  ].join('\n');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return line === '' ? lines : [...lines, line];
}
