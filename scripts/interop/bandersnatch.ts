// bandersnatch, the mirror program of PyPI's mirrors.
import path from 'node:path';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const BANDERSNATCH = '6.8.0';

export function installBandersnatch(): Promise<Component> {
  const name = `bandersnatch ${BANDERSNATCH}`;
  return component(name, `bandersnatch-${BANDERSNATCH}`, 'bin/bandersnatch', async (folder) => {
    await run('python3', ['-m', 'venv', folder]);
    const pip = ['-m', 'pip', 'install', '--quiet', `bandersnatch==${BANDERSNATCH}`];
    await run(path.join(folder, 'bin/python'), pip);
  });
}
