// countersign init: a commented configuration for a new installation.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { ConfigSchema } from '../config.ts';
import { DEFAULT_CONFIG_FILE } from '../config/default-file.ts';
import { renderConfigFile } from '../config/render.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { Perform } from './session.ts';

export function addInitCommand(program: Command, perform: Perform): void {
  program
    .command('init')
    .description('write a commented countersign.yaml for a new installation; never overwrites')
    .argument('[dir]', 'directory of the installation, made if it does not exist', '.')
    .addHelpText(
      'after',
      `
Examples:
  countersign init
  countersign init /srv/index/signing`,
    )
    .action(
      perform(async ({ context }, _options, [directory = '.']) => {
        const file = path.resolve(context.cwd, directory, DEFAULT_CONFIG_FILE);
        await createFile(file, renderConfigFile(ConfigSchema));
        return {
          json: { file },
          text: [
            `wrote ${file}`,
            'next: read it, then "countersign key generate", hold the ceremony ("countersign-ceremony --help"),',
            '      "countersign bootstrap BUNDLE", "countersign serve"',
          ].join('\n'),
        };
      }),
    );
}

async function createFile(file: string, text: string): Promise<void> {
  try {
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, text, { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') {
      throw new CountersignError('file-exists', `${file} exists already and is left as it is`, {
        cause: error,
      });
    }
    throw new CountersignError('usage', `cannot write ${file}: ${messageOf(error)}`, { cause: error });
  }
}
