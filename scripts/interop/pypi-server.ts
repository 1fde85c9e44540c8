// A real index for the interop suite: pypiserver, and real wheels for it to serve, from Debian's python3-*-whl packages.
import { mkdir, readdir } from 'node:fs/promises';
import path from 'node:path';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const PYPISERVER = 'pypiserver==2.4.1';
const PACKAGES = ['python3-pip-whl', 'python3-setuptools-whl'];

export function installPypiServer(): Promise<Component> {
  return component('pypiserver 2.4.1', 'pypiserver-2.4.1', 'bin/pypi-server', async (folder) => {
    await run('python3', ['-m', 'venv', folder]);
    await run(path.join(folder, 'bin/python'), ['-m', 'pip', 'install', '--quiet', PYPISERVER]);
  });
}

/** `program` is the folder of the wheels. */
export function debianWheels(): Promise<Component> {
  const wheels = 'usr/share/python-wheels';
  return component("Debian's wheels", 'debian-wheels-1', wheels, async (folder) => {
    await mkdir(folder, { recursive: true });
    await run('apt-get', ['download', '-qq', ...PACKAGES], { cwd: folder });
    for (const name of await readdir(folder)) {
      if (name.endsWith('.deb')) await run('dpkg', ['-x', name, '.'], { cwd: folder });
    }
  });
}
