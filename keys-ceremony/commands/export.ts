// countersign-ceremony export: what is kept, and what goes to the service.
import { lstat, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import { printable } from '../../src/lib/printable.ts';
import type { Ceremony } from '../ceremony.ts';
import { answer, type CeremonyAnswer, type CeremonyContext } from '../context.ts';
import { archiveOf, CHECKSUMS_FILE, encryptArchive, onlinePart } from '../export.ts';
import { loadCeremony } from '../load-ceremony.ts';
import { choosePassphrase } from '../passphrase-choice.ts';
import { mediumWarning } from '../medium.ts';
import { folderOf, record, recorded, withFolder } from '../session.ts';
import { unwritable, writeOnce } from '../write-file.ts';
import { OutputFolder } from '../write-once.ts';

interface ExportOptions {
  readonly folder?: string;
  readonly everything?: true;
  readonly online?: true;
  readonly to: string;
  readonly with?: readonly string[];
}

export function addExportCommand(program: Command, context: CeremonyContext): void {
  withFolder(program.command('export'))
    .description('copy the ceremony for safe-keeping, encrypted, or the part that the service needs')
    .option('--everything', 'the whole folder and key files, as one encrypted file')
    .option('--online', 'the bundle, the public part of the online key, and checksums; nothing secret')
    .requiredOption('--to <path>', 'a new file for --everything, a new or empty folder for --online')
    .option('--with <files...>', 'with --everything: key files to take along, below keys/')
    .addHelpText(
      'after',
      `
The encrypted file is a tar archive under a passphrase, in the format of age: it opens without this program.
  age --decrypt everything.tar.age | tar --extract

Examples:
  countersign-ceremony export --everything --to /media/backup/2027-renewal.tar.age
  countersign-ceremony export --everything --to ../all.tar.age --with /media/holder-1/holder-1.key
  countersign-ceremony export --online --to /media/service/2027-renewal`,
    )
    .action(async (options: ExportOptions, command: Command) => {
      if ((options.everything === true) === (options.online === true)) {
        throw new CountersignError('usage', 'say one of --everything and --online');
      }
      if (options.online === true && options.with !== undefined) {
        throw new CountersignError('usage', '--with goes with --everything: the service gets no private key');
      }
      const folder = folderOf(context, options);
      const ceremony = await loadCeremony(folder);
      await recorded(context, folder, ceremony.plan.ceremony, 'export', async () => {
        const to = path.resolve(context.cwd, options.to);
        await requireMedium(path.dirname(to));
        const warning = await mediumWarning(path.dirname(to), folder);
        if (warning !== undefined) context.stderr.write(`${printable(warning)}\n`);
        const result =
          options.online === true
            ? await exportOnline(context, ceremony, to)
            : await exportEverything(context, ceremony, to, options.with ?? []);
        answer(context, command, result);
      });
    });
}

async function exportEverything(
  context: CeremonyContext,
  ceremony: Ceremony,
  to: string,
  keyFiles: readonly string[],
): Promise<CeremonyAnswer> {
  const { terminal } = context;
  if (terminal === undefined) {
    throw new CountersignError('usage', 'there is no terminal at which a passphrase could be typed');
  }
  if (await exists(to)) throw new CountersignError('file-exists', `${to} exists already`);
  const paths = keyFiles.map((file) => path.resolve(context.cwd, file));
  const { tar, files } = await archiveOf(ceremony, paths);
  const encrypted = await encryptArchive(
    tar,
    await choosePassphrase('the archive', terminal, context.random),
    context.workFactor,
  );
  await writeOnce(path.dirname(to), path.basename(to), encrypted);
  const sha256 = sha256Hex(encrypted);
  const { folder, plan } = ceremony;
  await record(context, folder, plan.ceremony, { step: 'exported', kind: 'everything', files, sha256 });
  return {
    json: { file: to, files, sha256 },
    text: `wrote ${to} sha256 ${sha256}: ${files} files, encrypted; it was opened again and compared`,
  };
}

async function exportOnline(
  context: CeremonyContext,
  ceremony: Ceremony,
  to: string,
): Promise<CeremonyAnswer> {
  const files = await onlinePart(ceremony, context.clock.now());
  const output = await OutputFolder.create(to);
  for (const [name, bytes] of files) await writeOnce(output.path, name, bytes);
  const sha256 = sha256Hex(files.get(CHECKSUMS_FILE) ?? '');
  const { folder, plan } = ceremony;
  await record(context, folder, plan.ceremony, {
    step: 'exported',
    kind: 'online',
    files: files.size,
    sha256,
  });
  return {
    json: { folder: to, files: [...files.keys()], sha256 },
    text: [...files.keys()].map((name) => `wrote ${path.join(to, name)}`).join('\n'),
  };
}

/** Not made here: in the folder of a stick that is not mounted the export would be in memory, and gone with it. */
async function requireMedium(folder: string): Promise<void> {
  const found = await stat(folder).catch(() => undefined);
  if (found?.isDirectory() === true) return;
  throw new CountersignError(
    'file-unwritable',
    `the folder ${folder} is not there: put the medium in and mount it, or make the folder first`,
  );
}

async function exists(file: string): Promise<boolean> {
  try {
    await lstat(file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw unwritable(file, error);
  }
}
