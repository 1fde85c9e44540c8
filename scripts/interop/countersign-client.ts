// The client of countersign itself, as the built program.
import process from 'node:process';
import { inCheckout } from './checkout.ts';
import type { ClientKind } from './clients.ts';
import { commandClient } from './command-client.ts';

const COUNTERSIGN = inCheckout('dist/src/main.js');

export const countersignClient: ClientKind = {
  name: 'countersign client',
  formats: ['succinct', 'prefixes'],
  remembers: true,
  install: () => Promise.resolve({ name: 'countersign client', program: process.execPath, reason: '' }),
  open: (program, setting) => commandClient({ program, first: [COUNTERSIGN, 'client'] }, setting),
};
