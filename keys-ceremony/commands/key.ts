// countersign-ceremony key generate, show, backup, restore.
import path from 'node:path';
import { Option, type Command } from 'commander';
import { backupKey } from '../key-file-backup.ts';
import { commandGroup, answer, type CeremonyContext } from '../context.ts';
import { KEY_ALGORITHMS, type KeyAlgorithm } from '../key-file.ts';
import { generateHolderKey, restoreHolderKey, showHolderKey, type KeyReport } from '../key-file-steps.ts';
import { MAX_SHARES, MIN_SHARES } from '../paper-backup.ts';
import { withAccept, type AcceptOptions } from '../self-check-guard.ts';
import { folderOf, withFolder } from '../session.ts';
import { isTokenUri } from '../token-key.ts';

interface FolderOptions extends AcceptOptions {
  readonly folder?: string;
}

interface GenerateOptions extends FolderOptions {
  readonly name: string;
  readonly out?: string;
  readonly token?: string;
  readonly algorithm: KeyAlgorithm;
}

export function addKeyCommand(program: Command, context: CeremonyContext): void {
  const key = commandGroup(program, 'key', 'private keys of holders: make, show, back up, restore');
  addGenerate(key, context);
  addShow(key, context);
  addBackup(key, context);
  addRestore(key, context);
}

function addGenerate(key: Command, context: CeremonyContext): void {
  withAccept(withFolder(key.command('generate')))
    .description("make a holder's key in an encrypted file or on a token; never overwrites")
    .requiredOption('--name <name>', 'the holder, as the plan names them')
    .option(
      '--out <dir>',
      "where the private key goes: the holder's own medium, not the folder of the ceremony",
    )
    .option('--token <uri>', 'make the key on this token instead: pkcs11:…, with object= for its label')
    .addOption(new Option('--algorithm <name>', 'the kind of key').choices(KEY_ALGORITHMS).default('ed25519'))
    .addHelpText(
      'after',
      `
The private key goes to DIR/NAME.key (age's passphrase format, mode 0400), its public part to
holders/NAME.pub.json in the folder of the ceremony. The passphrase or PIN is asked for at the terminal.
Every TUF client reads ed25519 and p256. tuf-js and tough do not read p384: a plan has to allow it by name.

Examples:
  countersign-ceremony key generate --name holder-1 --out /media/holder-1
  countersign-ceremony key generate --name holder-2 --algorithm p256 \\
    --token 'pkcs11:serial=12345678;object=root?module-path=/usr/lib/opensc-pkcs11.so'
  countersign-ceremony key generate --name holder-1 --out ../stick --accept "network=practice at my desk"`,
    )
    .action(async (options: GenerateOptions, command: Command) => {
      const { out, ...rest } = options;
      const report = await generateHolderKey(context, folderOf(context, options), {
        ...rest,
        ...(out === undefined ? {} : { out: path.resolve(context.cwd, out) }),
      });
      printReport(context, command, report);
    });
}

function addShow(key: Command, context: CeremonyContext): void {
  withAccept(withFolder(key.command('show <key>')))
    .description('print the public part of a key file, or of a key on a token')
    .option('--name <name>', 'write it to holders/NAME.pub.json as well')
    .addHelpText(
      'after',
      `
Examples:
  countersign-ceremony key show /media/holder-1/holder-1.key
  countersign-ceremony key show /media/holder-1/holder-1.key --name holder-1 --folder ./2027-renewal
  countersign-ceremony key show 'pkcs11:serial=12345678;object=root?module-path=/usr/lib/opensc-pkcs11.so'`,
    )
    .action(async (given: string, options: FolderOptions & { name?: string }, command: Command) => {
      const reference = isTokenUri(given) ? given : path.resolve(context.cwd, given);
      printReport(
        context,
        command,
        await showHolderKey(context, folderOf(context, options), reference, options),
      );
    });
}

function addBackup(key: Command, context: CeremonyContext): void {
  withAccept(withFolder(key.command('backup <file>')))
    .description('split the private key of a key file into shares on paper')
    .requiredOption('--shares <n>', `pages to make, ${MIN_SHARES} to ${MAX_SHARES}`, Number)
    .requiredOption('--threshold <n>', 'pages that give the key back', Number)
    .requiredOption('--out <dir>', 'a folder in memory, from which the pages are printed')
    .addHelpText(
      'after',
      `
Each share is a page of its own, as text and as HTML with a QR code of the same words. Print the pages,
read one share back with "key restore", then delete the files.

Examples:
  countersign-ceremony key backup /media/holder-1/holder-1.key --shares 3 --threshold 2 --out /dev/shm/pages`,
    )
    .action(
      async (
        file: string,
        options: FolderOptions & { shares: number; threshold: number; out: string },
        command: Command,
      ) => {
        const { files, keyid } = await backupKey(context, folderOf(context, options), {
          ...options,
          file: path.resolve(context.cwd, file),
          out: path.resolve(context.cwd, options.out),
        });
        answer(context, command, {
          json: { keyid, files },
          text: [
            `key id    ${keyid}`,
            ...files.map((name) => `wrote ${name} (secret)`),
            'next: print the pages, keep them apart, and delete these files',
          ].join('\n'),
        });
      },
    );
}

function addRestore(key: Command, context: CeremonyContext): void {
  withAccept(withFolder(key.command('restore')))
    .description('put a key file together again from shares on paper')
    .requiredOption('--name <name>', 'the holder')
    .requiredOption('--out <dir>', 'where the private key goes, as for generate')
    .addHelpText(
      'after',
      `
The words are typed unseen, line by line. The new file gets a new passphrase; the key is the same.

Examples:
  countersign-ceremony key restore --name holder-1 --out /media/holder-1`,
    )
    .action(async (options: FolderOptions & { name: string; out: string }, command: Command) => {
      const out = path.resolve(context.cwd, options.out);
      printReport(
        context,
        command,
        await restoreHolderKey(context, folderOf(context, options), { ...options, out }),
      );
    });
}

function printReport(context: CeremonyContext, command: Command, report: KeyReport): void {
  const { keyid, key, serial, file, publicFile, accepted } = report;
  answer(context, command, {
    json: { keyid, key, serial, file, publicFile, accepted },
    text: [
      ...(file === undefined ? [] : [`wrote ${file} (secret)`]),
      ...(publicFile === undefined ? [] : [`wrote ${publicFile}`]),
      `key id    ${keyid}`,
      `public    ${JSON.stringify(key)}`,
      ...(serial === undefined ? [] : [`serial    ${serial}`]),
    ].join('\n'),
  });
}
