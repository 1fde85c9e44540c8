// go-tuf, through a program of test/interop that uses its updater.
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { inCheckout } from './checkout.ts';
import type { ClientKind } from './clients.ts';
import { commandClient } from './command-client.ts';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const NAME = 'go-tuf 2.4.2';
const SOURCE = inCheckout('test/interop/go-tuf-client');
const SOURCES = ['go.mod', 'go.sum', 'main.go'];

/** Milliseconds: forty seconds of two cores, and this computer may have other work. */
const BUILD_MS = 900_000;

/** It compares hash prefixes with base64, so that it finds nothing below them (fixed after this version). */
export const goTuf: ClientKind = {
  name: NAME,
  formats: ['succinct'],
  remembers: true,
  install: installGoTuf,
  open: (program, setting) =>
    commandClient(
      { program, timeEnv: (time) => ({ COUNTERSIGN_TIME: new Date(time).toISOString() }) },
      setting,
    ),
};

async function installGoTuf(): Promise<Component> {
  const hash = createHash('sha256');
  for (const name of SOURCES) hash.update(await readFile(path.join(SOURCE, name)));
  const folderName = `go-tuf-client-${hash.digest('hex').slice(0, 16)}`;
  return component(NAME, folderName, 'go-tuf-client', async (folder) => {
    const args = ['build', '-buildvcs=false', '-o', path.join(folder, 'go-tuf-client'), '.'];
    await run('go', args, { cwd: SOURCE, timeoutMs: BUILD_MS });
  });
}
