// The TUF conformance suite against `countersign client`: 113 attacks and odd repositories that others thought of.
import { rm } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { inCheckout } from './checkout.ts';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const COUNTERSIGN = inCheckout('dist/src/main.js');

/** A git repository: its home, or a copy where that cannot be reached. */
const SOURCE =
  process.env['COUNTERSIGN_CONFORMANCE_SUITE'] ?? 'https://github.com/theupdateframework/tuf-conformance';
const COMMIT = 'eec841c186f81f2d9d8d30460c7e7deefa615f9e';

/** What the suite's own pyproject.toml asks for at this commit. */
const PACKAGES = [
  'securesystemslib[crypto]==1.4.0',
  'tuf==7.0.0',
  'pytest==9.1.1',
  'pytest-json-report==1.5.0',
];

/** It starts some 300 processes of the client, and keeps a core busy itself. */
const SUITE_MS = 1_800_000;

export function conformanceSuite(): Promise<Component> {
  const folderName = `tuf-conformance-${COMMIT.slice(0, 12)}`;
  return component('TUF conformance', folderName, 'bin/pytest', async (folder) => {
    // The suite moves its own clock with it.
    await run('faketime', ['--version']);
    await run('python3', ['-m', 'venv', folder]);
    await run(path.join(folder, 'bin/python'), ['-m', 'pip', 'install', '--quiet', ...PACKAGES]);
    const suite = path.join(folder, 'suite');
    await rm(suite, { recursive: true, force: true });
    await run('git', ['clone', '--quiet', SOURCE, suite]);
    await run('git', ['-C', suite, 'checkout', '--quiet', COMMIT]);
  });
}

/** Resolves with pytest's summary when every test passes. The suite wants the path of a program, then its arguments. */
export async function checkConformance(pytest: string): Promise<string> {
  const suite = path.join(path.dirname(pytest), '..', 'suite');
  const entrypoint = `${process.execPath} ${COUNTERSIGN} client`;
  const output = await run(pytest, ['-q', 'tuf_conformance', '--entrypoint', entrypoint], {
    cwd: suite,
    timeoutMs: SUITE_MS,
  });
  return /^\d+ passed.*$/m.exec(output)?.[0] ?? 'no count';
}
