// nginx, from the system or from the packages of Debian, unpacked into the cache.
import { access, readdir } from 'node:fs/promises';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const NAME = 'nginx';

export async function installNginx(): Promise<Component> {
  const program = '/usr/sbin/nginx';
  const found = await access(program).then(
    () => true,
    () => false,
  );
  if (found) return { name: NAME, program, reason: '' };
  return component(NAME, 'nginx', 'usr/sbin/nginx', async (folder) => {
    await run('apt-get', ['download', 'nginx'], { cwd: folder });
    for (const file of await readdir(folder)) await run('dpkg-deb', ['-x', file, '.'], { cwd: folder });
  });
}
