// countersign bootstrap: takes the ceremony's bundle into an empty store.
import { open } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { counted } from '../lib/counted.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { bootstrap, type BootstrapReport } from '../publish/bootstrap.ts';
import { openSigner } from '../open-signer.ts';
import { openLedger, openStore } from '../open-ports.ts';
import { MAX_BUNDLE_BYTES, parseBundle, verifyBundle } from '../tuf/bundle.ts';
import { startProgress } from './progress.ts';
import type { Perform } from './session.ts';

export function addBootstrapCommand(program: Command, perform: Perform): void {
  program
    .command('bootstrap')
    .description(
      "take the ceremony's bundle into an empty store: verify it, write every bin, publish snapshot 1",
    )
    .argument('<bundle>', 'the file that the ceremony made')
    .addHelpText(
      'after',
      `
The bundle is verified as a client would verify it, and must name the configured signer for the online
roles. After an interruption run it again with the same bundle: it goes on where it stopped.

Examples:
  countersign bootstrap bundle.json
  countersign bootstrap -c /etc/countersign.yaml /media/usb/bundle.json --json`,
    )
    .action(
      perform(async (session, _options, [name = '']) => {
        const { config, secrets } = await session.load();
        const { clock, cwd } = session.context;
        const bundle = await readBundle(path.resolve(cwd, name));
        const { root } = (await verifyBundle(parseBundle(bundle), clock.now())).trusted;
        const signer = await openSigner(config, secrets, {
          clock,
          trusted: () => Promise.resolve(root.signed.roles.timestamp.keyids),
          unattended: true,
          warn: (message) => {
            session.note(`countersign: ${message}`);
          },
        });
        const progress = startProgress(session, 'signing bins');
        try {
          const ledger = await openLedger(config, secrets, session.context);
          try {
            const store = await openStore(config, session.context);
            const report = await bootstrap(bundle, {
              ledger,
              history: ledger,
              store,
              signer,
              clock,
              lifetimes: config.lifetimes,
              progress: progress.report,
              ...session.leaseTaker,
            });
            progress.end();
            const { snapshot, bins, rootVersion } = report;
            const text = [
              `${done(report)}: snapshot ${snapshot}, ${counted(bins, 'bin')}, root version ${rootVersion}`,
              'next: countersign serve',
            ];
            return { json: report, text: text.join('\n') };
          } finally {
            await ledger.close();
          }
        } finally {
          progress.end();
          await signer.close();
        }
      }),
    );
}

function done({ resumed, alreadyComplete }: BootstrapReport): string {
  if (alreadyComplete) return 'already complete, nothing was done';
  return resumed ? 'finished the interrupted bootstrap' : 'founded the repository';
}

/** @throws CountersignError `bundle-invalid`, `usage`. */
export async function readBundle(file: string): Promise<Uint8Array> {
  try {
    const handle = await open(file, 'r');
    try {
      const { size } = await handle.stat();
      if (size > MAX_BUNDLE_BYTES) {
        throw new CountersignError(
          'bundle-invalid',
          `${file} has ${size} bytes, at most ${MAX_BUNDLE_BYTES} are read`,
        );
      }
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof CountersignError) throw error;
    throw new CountersignError('usage', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
}
