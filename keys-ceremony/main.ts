#!/usr/bin/env node
// The program `countersign-ceremony`: the only place of the ceremony that touches the process, the clock and randomness.
import { randomBytes } from 'node:crypto';
import { systemClock } from '../src/lib/clock.ts';
import { findHolderKey, openHolderKey } from './open-key.ts';
import { ownDigest } from './own-digest.ts';
import { runCeremony } from './program.ts';
import { thisMachine } from './self-check-machine.ts';
import { openTerminal } from './terminal-tty.ts';

// A terminal that is gone cannot be told so.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

const terminal = openTerminal(process);
process.exitCode = await runCeremony(process.argv.slice(2), {
  cwd: process.cwd(),
  stdout: process.stdout,
  stderr: process.stderr,
  clock: systemClock,
  random: randomBytes,
  tool: await ownDigest(),
  machine: thisMachine(systemClock, randomBytes),
  findKey: findHolderKey,
  openKey: openHolderKey,
  ...(terminal === undefined ? {} : { terminal }),
});
terminal?.close();
