// tuf-js, which npm has installed, in a process of its own: its clock can be set, and it is as cold as a real one.
import process from 'node:process';
import { inCheckout } from './checkout.ts';
import type { ClientKind } from './clients.ts';
import { commandClient } from './command-client.ts';

/** Of package-lock.json. */
const NAME = 'tuf-js 5.0.1';
const SCRIPT = inCheckout('dist/scripts/interop/tuf-js-command.js');

export const tufJs: ClientKind = {
  name: NAME,
  formats: ['succinct', 'prefixes'],
  remembers: true,
  install: () => Promise.resolve({ name: NAME, program: process.execPath, reason: '' }),
  open: (program, setting) => commandClient({ program, first: [SCRIPT] }, setting),
};
