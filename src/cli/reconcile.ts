// countersign reconcile: brings a ledger that was restored from a backup up to what its store shows.
import { createWriteStream, openSync } from 'node:fs';
import path from 'node:path';
import { finished } from 'node:stream/promises';
import type { Command } from 'commander';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { adoptGap, findGap, type Gap, type ReconcilePorts } from '../publish/reconcile.ts';
import type { UnknownTarget } from '../publish/reconcile-bins.ts';
import { trustedOnlineKeys } from '../open-signer.ts';
import { openLedger, openSigners, openStore } from '../open-ports.ts';
import { startProgress } from './progress.ts';
import type { Answer, Perform, Session } from './session.ts';

/** Targets that are shown on a screen; the report has all of them. */
const SHOWN = 20;

interface ReconcileOptions {
  readonly adopt?: string;
  readonly report?: string;
  readonly atLeast?: string;
}

export function addReconcileCommand(program: Command, perform: Perform): void {
  program
    .command('reconcile')
    .description('bring a ledger that was restored from a backup up to what its store shows')
    .option('--report <file>', 'write every target that the ledger does not know of, one JSON line each')
    .option(
      '--at-least <snapshot>',
      'a snapshot seen in a log, a mirror or a client: refuse a store that shows less',
    )
    .option('--adopt <name>', 'take over exactly what was shown under this name')
    .addHelpText(
      'after',
      `
Without --adopt nothing is changed: the store is verified as a client would verify it, and what the ledger
lacks is shown, with a name. Look at it: targets that were removed although nobody removed them are the trace
of somebody who writes to the store. With --adopt NAME the ledger is moved there; every service on it must be
stopped. A store that is behind its ledger was rolled back, and is refused.

Events that were accepted after the backup are lost to the ledger. Let the index send again what it sent since
then, in the same order and under the same ids: what is public already changes nothing.

Examples:
  countersign reconcile --report unknown.ndjson --at-least 4711
  countersign reconcile --adopt 5f0c2a9d1e8b7734
  countersign reconcile --json | jq .missing`,
    )
    .action(
      perform(async (session, raw) => {
        const options = raw as ReconcileOptions;
        const { config, secrets } = await session.load();
        const { clock } = session.context;
        const tally = new Tally(session, options.report);
        const progress = startProgress(session, 'comparing bins');
        const ledger = await openLedger(config, secrets, session.context);
        try {
          const ports: ReconcilePorts = {
            ledger,
            store: await openStore(config, session.context, options.adopt === undefined ? 'read' : 'publish'),
            clock,
            lifetimes: config.lifetimes,
            ...session.leaseTaker,
            ...atLeast(options.atLeast),
            tell: (target) => {
              tally.add(target);
            },
            progress: progress.report,
          };
          const gap = await findGap(ports);
          progress.end();
          if (gap === undefined) {
            const text = 'nothing to do: ledger and store are at the same publication';
            return { json: { level: true }, text };
          }
          if (options.adopt === undefined) return describe(gap, tally, false);
          if (options.adopt !== gap.name) {
            throw new CountersignError(
              'reconcile-refused',
              `what the store shows has the name ${gap.name}, not ${options.adopt}: something has changed since it was shown`,
            );
          }
          let close = (): Promise<void> => Promise.resolve();
          try {
            await adoptGap(gap, ports, async () => {
              const signers = await openSigners(config, secrets, {
                clock,
                trusted: () => trustedOnlineKeys(ledger),
                unattended: true,
                warn: (message) => {
                  session.note(`countersign: ${message}`);
                },
              });
              close = () => signers.close();
              return signers;
            });
          } finally {
            await close();
          }
          return describe(gap, tally, true);
        } finally {
          progress.end();
          await tally.end();
          await ledger.close();
        }
      }),
    );
}

function atLeast(given: string | undefined): { atLeast?: number } {
  if (given === undefined) return {};
  if (/^[1-9]\d{0,14}$/.test(given)) return { atLeast: Number(given) };
  throw new CountersignError(
    'usage',
    `--at-least is ${JSON.stringify(given)}, expected the version of a snapshot`,
  );
}

/** Counts what the ledger does not know of, keeps the first few, and writes all of it to the report. */
class Tally {
  readonly counts: Record<UnknownTarget['op'], number> = { added: 0, replaced: 0, removed: 0, listed: 0 };
  readonly first: UnknownTarget[] = [];
  readonly #stream: ReturnType<typeof createWriteStream> | undefined;
  #failure: unknown;

  /** @throws CountersignError `file-exists`, `usage` when the report cannot be written. */
  constructor({ context }: Session, report: string | undefined) {
    if (report === undefined) return;
    const file = path.resolve(context.cwd, report);
    let fd: number;
    try {
      fd = openSync(file, 'wx', 0o600);
    } catch (cause) {
      const exists = (cause as NodeJS.ErrnoException).code === 'EEXIST';
      const problem = exists ? `${file} exists already and is left as it is` : messageOf(cause);
      throw new CountersignError(exists ? 'file-exists' : 'usage', `--report: ${problem}`, { cause });
    }
    this.#stream = createWriteStream(file, { fd });
    this.#stream.on('error', (error) => (this.#failure ??= error));
  }

  add(target: UnknownTarget): void {
    this.counts[target.op] += 1;
    if (this.first.length < SHOWN) this.first.push(target);
    this.#stream?.write(`${JSON.stringify(target)}\n`);
  }

  /** @throws CountersignError `usage` when the report could not be written. */
  async end(): Promise<void> {
    if (this.#stream === undefined) return;
    this.#stream.end();
    await finished(this.#stream).catch((error: unknown) => (this.#failure ??= error));
    if (this.#failure === undefined) return;
    const cause = this.#failure;
    throw new CountersignError('usage', `--report: ${messageOf(cause)}`, { cause });
  }
}

function describe(gap: Gap, { counts, first }: Tally, adopted: boolean): Answer {
  const { head, store, intent, bins, withoutBase, superseded, waiting, name } = gap;
  const { writtenAhead, unpublished, lacking, retained } = store;
  const settled = intent.events.length - intent.rejected.length;
  const json = {
    level: false,
    adopted,
    name,
    ledger: { snapshot: head.snapshot, timestamp: head.timestamp },
    store: { snapshot: intent.snapshot, timestamp: intent.timestamp, roles: intent.roles },
    missing: { snapshots: lacking, retained, bins: bins.length, targets: counts },
    events: { published: settled, rejected: intent.rejected.length, superseded, waiting },
    withoutBase,
    writtenAhead,
    unpublished: unpublished !== undefined,
  };
  const more = Object.values(counts).reduce((sum, count) => sum + count, 0) - first.length;
  const text = [
    `the ledger is at snapshot ${head.snapshot}, the store at ${intent.snapshot}: ${lacking} snapshots (${retained} still there), ${bins.length} bins`,
    `targets that the ledger does not know of: ${counts.added} added, ${counts.replaced} replaced, ${counts.removed} removed` +
      (counts.listed === 0 ? '' : `, ${counts.listed} in bins whose former content is gone`),
    ...first.map(({ op, path: target }) => `  ${op} ${target}`),
    ...(more > 0 ? [`  … and ${more} more: see --report`] : []),
    `events that the ledger held: ${settled} were published, ${waiting} go on waiting, ${superseded.length} are overtaken and rejected`,
    ...superseded.slice(0, SHOWN).map((id) => `  rejected ${JSON.stringify(id)}`),
    ...(unpublished === undefined
      ? []
      : ['the newest snapshot was about to be published: adopting publishes it']),
    ...writtenAhead.map((object) => `never published, removed by adopting: ${object}`),
    adopted
      ? `the ledger is at snapshot ${intent.snapshot} now\nnext: countersign serve, countersign fsck; let the index send again what it sent since the backup`
      : `nothing was changed; to take this over, with every service stopped: countersign reconcile --adopt ${name}`,
  ];
  return { json, text: text.join('\n') };
}
