// tuf-js, in a process of its own: its clock can be set, and it is as cold as a real one. Two versions: the one that npm
// has installed, and the newest, which has a Node of its own.
import { copyFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { cacheFolder, NEWEST_TUF_JS, newestTufJs } from './components.ts';
import { inCheckout } from './checkout.ts';
import type { ClientKind } from './clients.ts';
import { commandClient } from './command-client.ts';

/** Of package-lock.json. */
const NAME = 'tuf-js 5.0.1';
const SCRIPT = inCheckout('dist/scripts/interop/tuf-js-command.js');

const common = { formats: ['succinct', 'prefixes'], remembers: true } as const;

export const tufJs: ClientKind = {
  ...common,
  name: NAME,
  install: () => Promise.resolve({ name: NAME, program: process.execPath, reason: '' }),
  open: (program, setting) => commandClient({ program, first: [SCRIPT] }, setting),
};

export const newestTufJsClient: ClientKind = {
  ...common,
  name: `tuf-js ${NEWEST_TUF_JS}`,
  install: newestTufJs,
  open: async (program, setting) => {
    // Beside the packages, so that its import finds this version.
    const script = path.join(cacheFolder(`tuf-js-${NEWEST_TUF_JS}`), 'tuf-js-command.mjs');
    await copyFile(SCRIPT, script);
    return commandClient({ program, first: [script] }, setting);
  },
};
