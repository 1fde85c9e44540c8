// The real installers, and real wheels with their dependencies, downloaded once.
import path from 'node:path';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const PIP = '26.3';
const UV = '0.13.9';

/** Their dependencies make more than 50 packages, all of them for any Python 3 or with a wheel for this one. */
const PACKAGES = [
  'flask',
  'sphinx',
  'tox',
  'twine',
  'build',
  'jinja2',
  'rich',
  'pytest',
  'hatchling',
  'alembic',
];

/** `program` is the folder: `bin/pip`, `bin/uv`, and `wheels/`. */
export async function installPip(): Promise<Component> {
  const found = await component(`pip ${PIP}, uv ${UV}`, `pip-${PIP}-uv-${UV}`, 'bin/pip', async (folder) => {
    await run('python3', ['-m', 'venv', folder]);
    const python = path.join(folder, 'bin/python');
    await run(python, ['-m', 'pip', 'install', '--quiet', `pip==${PIP}`, `uv==${UV}`]);
    const wheels = ['--only-binary', ':all:', '--dest', path.join(folder, 'wheels')];
    await run(python, ['-m', 'pip', 'download', '--quiet', ...wheels, ...PACKAGES]);
  });
  return found.program === undefined
    ? found
    : { ...found, program: path.dirname(path.dirname(found.program)) };
}
