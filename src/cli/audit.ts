// countersign audit: the log of uses of the online key, exported, and held to the repository.
import path from 'node:path';
import type { Command } from 'commander';
import { parseStore } from '../config/backends.ts';
import type { AuditLine } from '../ledger/ledger.ts';
import { counted } from '../lib/counted.ts';
import { CountersignError } from '../lib/errors.ts';
import { comparedLines, exportedLines, ledgerLines } from '../publish/audit-chain.ts';
import { verifyAudit, type AuditReport } from '../publish/audit-verify.ts';
import { openLedger, openStore } from '../open-ports.ts';
import type { ObjectStore } from '../storage/store.ts';
import { exportAudit } from './audit-export.ts';
import { startProgress } from './progress.ts';
import type { Answer, Perform, Session } from './session.ts';

export function addAuditCommand(program: Command, perform: Perform): void {
  const audit = program
    .command('audit')
    .description('the log of every use of the online key: export it, hold it to the repository');
  audit
    .command('export')
    .description('write the records of the log, a line of JSON each')
    .requiredOption('--to <file>', 'a new file, or an earlier export, which is continued')
    .option('--after <number>', 'begin a new file after this record (default: with the first)')
    .addHelpText(
      'after',
      `
A service may run meanwhile. Each line carries the SHA-256 of the line before it in "previous"; keep the
file where whoever can write to the ledger cannot. No record is ever removed from the ledger.

Examples:
  countersign audit export --to audit.ndjson
  tail -n 1 audit.ndjson | jq .number`,
    )
    .action(
      perform(async (session, raw) => {
        const { to, after } = raw as { readonly to: string; readonly after?: string };
        const file = path.resolve(session.context.cwd, to);
        const { config, secrets } = await session.load();
        const ledger = await openLedger(config, secrets, session.context);
        try {
          const report = await exportAudit(ledger, file, numberOf(after));
          const text = `wrote ${report.written} records; ${file} ends with record ${report.last}`;
          return { json: { file, ...report }, text };
        } finally {
          await ledger.close();
        }
      }),
    );
  audit
    .command('verify')
    .argument('[store]', 'file:DIRECTORY or s3://BUCKET/PREFIX; needs --log (default: the configured store)')
    .description('prove that the log accounts for every signature of an online key in the repository')
    .option('--log <file>', 'an export: the ledger must hold the same records; with a store, it is the log')
    .addHelpText(
      'after',
      `
The chain of the log is checked from its first record; then every file in the store that an online key has
signed must stand in exactly one record with its SHA-256, and what was signed must be there until it is
collected. A service may run meanwhile. Exit status 1: a line for each file, or the first broken record.
A valid signature without a record means that somebody else has used the key: replace it.

Examples:
  countersign audit verify
  countersign audit verify --log audit.ndjson --json | jq .problems
  countersign audit verify file:./copy-of-the-store --log audit.ndjson`,
    )
    .action(
      perform((session, raw, [location]) => {
        const { log }: { readonly log?: string } = raw;
        const file = log === undefined ? undefined : path.resolve(session.context.cwd, log);
        return location === undefined
          ? verifyConfigured(session, file)
          : verifyExport(session, location, file);
      }),
    );
}

async function verifyConfigured(session: Session, log: string | undefined): Promise<Answer> {
  const { config, secrets } = await session.load();
  const ledger = await openLedger(config, secrets, session.context);
  try {
    if ((await ledger.head()) === undefined) {
      throw new CountersignError('not-bootstrapped', 'the ledger holds no repository');
    }
    const store = await openStore(config, session.context, 'read');
    const lines = (): AsyncGenerator<AuditLine> =>
      log === undefined ? ledgerLines(ledger) : comparedLines(exportedLines(log), ledgerLines(ledger));
    return await verify(session, lines(), store);
  } finally {
    await ledger.close();
  }
}

async function verifyExport(session: Session, location: string, log: string | undefined): Promise<Answer> {
  if (log === undefined) {
    throw new CountersignError('usage', 'a store is held to an export of its log: give --log');
  }
  const store = parseStore({ value: location, source: 'the argument' }, session.context.cwd);
  return verify(session, exportedLines(log), await openStore({ store }, session.context, 'read'));
}

async function verify(
  session: Session,
  lines: AsyncIterable<AuditLine>,
  store: ObjectStore,
): Promise<Answer> {
  const progress = startProgress(session, 'checking files');
  try {
    const report = await verifyAudit(lines, store, progress.report);
    progress.end();
    const sound = report.problems.length === 0;
    return { json: { sound, ...report }, text: describe(report), status: sound ? 0 : 1 };
  } finally {
    progress.end();
  }
}

function describe(report: AuditReport): string {
  const { records, head, accounted, pending, uncovered, uncoveredSnapshots, problems } = report;
  const [first, last] = [uncoveredSnapshots[0], uncoveredSnapshots.at(-1)];
  const lines = [
    ...problems.map(({ kind, message }) => `${kind}: ${message}`),
    problems.length === 0
      ? `the audit log accounts for every signature: ${counted(accounted, 'file')}`
      : `${counted(problems.length, 'problem')}; ${accounted} files are accounted for`,
    `${records} records, the last one has the hash ${head}`,
    ...(pending === 0
      ? []
      : [`in hand: ${counted(pending, 'file')} of a publication that is announced and not settled`]),
    ...(uncovered === 0
      ? []
      : [
          `not covered: ${counted(uncovered, 'file')}, signed before the log began or with records that were lost` +
            (first === undefined ? '' : `, snapshots ${first} to ${last} among them`),
        ]),
    ...(problems.some(({ kind }) => kind === 'unaccounted')
      ? ['somebody else has used the online key: docs/operations.md, "When something is wrong"']
      : []),
  ];
  return lines.join('\n');
}

function numberOf(after: string | undefined): number {
  if (after === undefined) return 0;
  if (/^\d{1,15}$/.test(after)) return Number(after);
  throw new CountersignError('usage', `--after is ${JSON.stringify(after)}, expected the number of a record`);
}
