#!/usr/bin/env node
// The program `countersign`: the only place that touches the process (environment, signals, exit status).
import { randomInt, randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { runCli } from './cli/program.ts';
import { systemClock } from './lib/clock.ts';
import { machineIdentity, machineName } from './lib/machine-name.ts';

/** Exit status of a process that a second signal ends while it is still stopping: 128 + SIGINT. */
const INTERRUPTED = 130;

// The SDK would otherwise tell users of Node.js 20 on each start what its versions of 2027 need: the locked one runs there.
process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';

// A reader that goes away (`countersign status | head -1`) is no fault of ours.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

process.exitCode = await runCli(process.argv.slice(2), {
  cwd: process.cwd(),
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  clock: systemClock,
  process: {
    host: machineName(hostname(), machineIdentity()),
    pid: process.pid,
    startedAt: systemClock.now(),
  },
  random: () => randomInt(2 ** 32) / 2 ** 32,
  newId: randomUUID,
  stopRequested: () =>
    new Promise((resolve) => {
      let asked = false;
      for (const signal of ['SIGINT', 'SIGTERM'] as const) {
        process.on(signal, () => {
          if (asked) process.exit(INTERRUPTED);
          asked = true;
          resolve();
        });
      }
    }),
});
