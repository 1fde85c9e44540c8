// countersign serve: the service, until it is asked to stop.
import type { Command } from 'commander';
import { createLogger } from '../lib/log.ts';
import type { Perform } from './session.ts';

export function addServeCommand(program: Command, perform: Perform): void {
  program
    .command('serve')
    .description('run the service: intake of events, publisher, read side')
    .addHelpText(
      'after',
      `
Logs are JSON lines on standard error; on a terminal only warnings are shown, unless log-level is debug.
With --json the address is printed as {"address": URL} once the service listens. SIGTERM or SIGINT ends it
gracefully: the publication in hand is finished, open requests are answered. A second signal ends it at once.

Examples:
  countersign serve
  countersign serve -c /etc/countersign.yaml
  COUNTERSIGN_LISTEN=127.0.0.1:0 countersign serve --json`,
    )
    .action(
      perform(async (session) => {
        const { config, secrets } = await session.load();
        const { clock, newId, random, stderr, stopRequested } = session.context;
        // Registered before anything is opened: a signal during the start is not lost.
        const stop = stopRequested();
        const forPeople = stderr.isTTY === true && !session.json;
        const log = createLogger(forPeople && config.logLevel === 'info' ? 'warn' : config.logLevel);
        // Loaded when it is needed: no other command waits for a web server to be read.
        const { startService } = await import('../service.ts');
        const service = await startService(config, secrets, {
          clock,
          log,
          newId,
          random,
          ...session.leaseTaker,
        });
        if (session.json) session.answer({ json: { address: service.address }, text: '' });
        else if (forPeople) session.note(`countersign listens on ${service.address} (stop with Ctrl-C)`);
        await stop;
        await service.stop();
        return { text: '' };
      }),
    );
}
