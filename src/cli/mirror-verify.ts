// countersign mirror verify: whether a copy is what its metadata say, offline.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { targetObjects } from '../client/mirror/object-names.ts';
import { verifyCopy, type Fault, type Verified } from '../client/mirror/verify.ts';
import type { Target } from '../client/roles/targets-file.ts';
import { CountersignError, hasCode, messageOf } from '../lib/errors.ts';
import { versionedName } from '../tuf/layout.ts';
import { ReadDirectory } from '../storage/read-directory.ts';
import { readRootFile } from './mirror-options.ts';
import { startProgress } from './progress.ts';
import type { Answer, Perform, Session } from './session.ts';

interface VerifyCommandOptions {
  readonly root?: string;
  readonly plainFiles?: string;
  readonly below?: string;
  readonly complete?: true;
}

/** Faults and strangers that are named; all are counted. */
const NAMED = 1000;

export function addMirrorVerifyCommand(mirror: Command, perform: Perform): void {
  mirror
    .command('verify')
    .argument('<directory>', 'a mirror, or any directory with "metadata/" in it')
    .description('verify a copy offline: every role, every target file that is there')
    .option('--root <file>', 'the root that the index gave you (default: 1.root.json of the copy itself)')
    .option(
      '--plain-files <dir>',
      'target files are here, under their own paths: the "web" folder of bandersnatch',
    )
    .option('--below <folder>', 'only target files below this folder, such as "packages"')
    .option('--complete', 'every target file that metadata name must be there')
    .addHelpText(
      'after',
      `
Nothing is asked of the network, nothing is written. Exit status 1: something is wrong; each fault is a line on standard
output. With --plain-files a file that no metadata name is a fault too, below the folders in which metadata name any.

Examples:
  countersign mirror verify /srv/mirror --root root.json
  countersign mirror verify /srv/mirror --root root.json --complete --json
  countersign mirror verify /srv/metadata --root root.json \\
    --plain-files /srv/bandersnatch/web --below packages`,
    )
    .action(
      perform((session, raw, [directory = '']) => {
        const options: VerifyCommandOptions = raw;
        return verify(session, path.resolve(session.context.cwd, directory), options);
      }),
    );
}

async function verify(session: Session, directory: string, options: VerifyCommandOptions): Promise<Answer> {
  const { clock, cwd } = session.context;
  const copy = await ReadDirectory.open(directory);
  const plain =
    options.plainFiles === undefined
      ? undefined
      : await ReadDirectory.open(path.resolve(cwd, options.plainFiles));
  const below = folderPrefix(options.below);
  const faults = new Faults();
  const progress = startProgress(session, 'verifying roles');
  try {
    const verified = await verifyCopy({
      metadata: copy,
      rootBytes: await rootOf(session, directory, options),
      clock,
      targets:
        plain === undefined ? { files: copy, objects: targetObjects } : { files: plain, objects: plainNames },
      below,
      complete: options.complete === true,
      progress: progress.report,
      fault: (fault) => {
        faults.add(fault);
      },
    });
    progress.end();
    const others = await (plain === undefined
      ? count(copy.list(`targets/${below}`))
      : strangers(plain, verified, below, faults));
    return answerOf(verified, faults, Math.max(0, others - verified.present), options);
  } catch (error) {
    // The way of a client ends at the first top-level role that does not verify.
    if (!hasCode(error, ...REFUSALS)) throw error;
    faults.add({ name: 'metadata', code: error.code, message: error.message });
    return answerOf(undefined, faults, 0, options);
  } finally {
    progress.end();
  }
}

/** With a final slash; "" for all. @throws CountersignError `usage`. */
function folderPrefix(folder = ''): string {
  const segments = folder.split('/').filter((segment) => segment !== '');
  if (!segments.includes('..') && !segments.includes('.'))
    return segments.map((segment) => `${segment}/`).join('');
  throw new CountersignError('usage', `--below: ${folder} is no folder of target paths, such as packages/ab`);
}

const REFUSALS = [
  'metadata-missing',
  'metadata-invalid',
  'metadata-too-large',
  'metadata-expired',
  'signature-invalid',
  'version-rollback',
  'length-or-hash-mismatch',
  'mirror-refused',
] as const;

class Faults {
  count = 0;
  readonly named: Fault[] = [];

  add(fault: Fault): void {
    this.count += 1;
    if (this.named.length < NAMED) this.named.push(fault);
  }
}

function plainNames({ path: name }: Target): string[] {
  return [name];
}

async function rootOf(
  session: Session,
  directory: string,
  { root }: VerifyCommandOptions,
): Promise<Uint8Array> {
  if (root !== undefined) return readRootFile(root, session.context.cwd);
  const own = path.join(directory, versionedName('root', 1));
  session.note(
    `countersign: without --root the copy is verified from its own ${own}: a whole forgery would pass`,
  );
  try {
    return await readFile(own);
  } catch (error) {
    session.note(messageOf(error));
    return readRootFile(undefined, session.context.cwd);
  }
}

/** The number of files below the folders that metadata name; those that no metadata name are faults. */
async function strangers(
  files: ReadDirectory,
  { folders, lookUp }: Verified,
  below: string,
  faults: Faults,
): Promise<number> {
  let signed = 0;
  // Files beside the folders: nobody can tell which are meant.
  const places = below === '' ? [...folders].filter((folder) => folder !== '') : [below];
  for (const folder of places) {
    for await (const { name } of files.list(folder)) {
      if ((await lookUp(name)) !== undefined) signed += 1;
      else faults.add({ name, code: 'target-absent', message: 'is there, and no signed metadata name it' });
    }
  }
  return signed;
}

async function count(list: AsyncIterable<unknown>): Promise<number> {
  let number = 0;
  for await (const entry of list) number += entry === undefined ? 0 : 1;
  return number;
}

function answerOf(
  verified: Verified | undefined,
  faults: Faults,
  others: number,
  { plainFiles }: VerifyCommandOptions,
): Answer {
  const { roles = 0, named = 0, present = 0, absent = 0, trusted } = verified ?? {};
  const sound = faults.count === 0;
  const snapshot = trusted?.snapshot.version;
  const lines = [
    ...faults.named.map(({ name, code, message }) => `${code}: ${name} ${message}`),
    ...(faults.count > faults.named.length ? [`${faults.count} faults in all`] : []),
    ...(snapshot === undefined
      ? []
      : [
          `${sound ? 'sound: ' : ''}snapshot ${snapshot}, ${roles} roles, ${named} target files named, ${present} there, ${absent} not there`,
        ]),
    ...(others > 0 && plainFiles === undefined
      ? [`${others} further files in targets/ are not named by this snapshot: superseded, or left over`]
      : []),
  ];
  const json = {
    sound,
    snapshot,
    roles,
    targets: { named, present, absent, others },
    faults: faults.named,
    faultCount: faults.count,
  };
  return { json, text: lines.join('\n'), status: sound ? 0 : 1 };
}
