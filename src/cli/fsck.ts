// countersign fsck: whether what is public is what it should be, to the last byte.
import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { fsck, type LedgerView, type Violation } from '../client/fsck.ts';
import { FSCK_RULES } from '../client/fsck/rules.ts';
import { httpSource } from '../client/http-source.ts';
import { storeSource, type RepositorySource } from '../client/source.ts';
import { parseStore } from '../config/backends.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { openLedger, openStore } from '../open-ports.ts';
import { startProgress } from './progress.ts';
import type { Answer, Perform, Session } from './session.ts';

interface FsckCommandOptions {
  readonly root?: string;
  readonly mirror?: true;
  readonly rules?: true;
}

export function addFsckCommand(program: Command, perform: Perform): void {
  program
    .command('fsck')
    .argument(
      '[store]',
      'a store (file:DIRECTORY, s3://BUCKET/PREFIX) or the URL before "metadata/" (default: the configured store)',
    )
    .description('derive the whole repository anew and list every rule that it breaks')
    .option('--root <file>', 'a root file that you trust; the repository must lead on from it')
    .option('--mirror', 'the store is a mirror: not every snapshot has to be there')
    .option('--rules', 'print the rules, with their sources, and check nothing')
    .addHelpText(
      'after',
      `
The configured store is compared with its ledger too, and starts from the root that the ledger trusts.
A service may run meanwhile. Over a URL nothing can be listed: superfluous objects and older snapshots
are not looked at. Exit status 0: sound. 1: at least one rule is broken; each is a line on standard output.

Examples:
  countersign fsck
  countersign fsck https://index.example/tuf/ --root root.json
  countersign fsck file:./copy-of-the-store --json | jq .violations
  countersign fsck file:/srv/mirror --mirror --root root.json
  countersign fsck --rules`,
    )
    .action(
      perform(async (session, raw, [location]) => {
        const options: FsckCommandOptions = raw;
        if (options.rules === true) return rulesAnswer();
        const trustedRoot = options.root === undefined ? undefined : await readRoot(session, options.root);
        if (location === undefined) return checkConfigured(session, trustedRoot);
        const source = await openSource(session, location);
        return check(session, source, { trustedRoot, mirror: options.mirror === true });
      }),
    );
}

function rulesAnswer(): Answer {
  const rules = Object.entries(FSCK_RULES).map(([id, rule]) => ({ id, ...rule }));
  const text = rules.map(({ id, source, meaning }) => `${id}  (${source})\n    ${meaning}`).join('\n');
  return { json: { rules }, text };
}

async function readRoot(session: Session, file: string): Promise<Uint8Array> {
  try {
    return await readFile(path.resolve(session.context.cwd, file));
  } catch (cause) {
    throw new CountersignError('usage', `--root ${file} cannot be read: ${messageOf(cause)}`, { cause });
  }
}

async function openSource(session: Session, location: string): Promise<RepositorySource> {
  if (/^https?:/i.test(location)) return httpSource(location);
  const given = { value: location, source: 'the argument' };
  const store = parseStore(given, session.context.cwd);
  // Opening a directory creates it: a wrong path must not become an empty store.
  if (store.kind === 'file' && !(await isDirectory(store.directory))) {
    throw new CountersignError('usage', `there is no store in ${store.directory}`);
  }
  return storeSource(await openStore({ store }, session.context, 'read'));
}

function isDirectory(directory: string): Promise<boolean> {
  return stat(directory).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function checkConfigured(session: Session, trustedRoot: Uint8Array | undefined): Promise<Answer> {
  const { config, secrets } = await session.load();
  const ledger = await openLedger(config, secrets, session.context);
  try {
    const head = await ledger.head();
    if (head === undefined) throw new CountersignError('not-bootstrapped', 'the ledger holds no repository');
    const source = storeSource(await openStore(config, session.context, 'read'));
    return await check(session, source, {
      ledger,
      renderedPages: config.simpleIndex === 'render',
      trustedRoot: trustedRoot ?? Buffer.from(head.trustedRoot),
    });
  } finally {
    await ledger.close();
  }
}

interface CheckInput {
  readonly trustedRoot: Uint8Array | undefined;
  readonly ledger?: LedgerView;
  readonly mirror?: boolean;
  readonly renderedPages?: boolean;
}

async function check(
  session: Session,
  source: RepositorySource,
  { trustedRoot, ledger, mirror = false, renderedPages = false }: CheckInput,
): Promise<Answer> {
  const progress = startProgress(session, 'checking bins');
  const violations: Violation[] = [];
  try {
    for await (const violation of fsck(source, {
      now: session.context.clock.now(),
      progress: progress.report,
      mirror,
      renderedPages,
      ...(trustedRoot === undefined ? {} : { trustedRoot }),
      ...(ledger === undefined ? {} : { ledger }),
    })) {
      violations.push(violation);
    }
  } finally {
    progress.end();
  }
  const sound = violations.length === 0;
  const lines = violations.map(({ rule, name, message }) => `${rule}: ${name} ${message}`);
  return {
    json: { sound, violations },
    text: sound ? 'sound: no rule is broken' : lines.join('\n'),
    status: sound ? 0 : 1,
  };
}
