// The program age, from the system or from the packages of Debian, unpacked into the cache.
import { access, readdir } from 'node:fs/promises';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const NAME = 'age and tar';

/** `program` is age; tar is part of every system that has it. */
export async function installAge(): Promise<Component> {
  const program = '/usr/bin/age';
  const found = await access(program).then(
    () => true,
    () => false,
  );
  if (found) return { name: NAME, program, reason: '' };
  return component(NAME, 'age', 'usr/bin/age', async (folder) => {
    await run('apt-get', ['download', 'age'], { cwd: folder });
    for (const file of await readdir(folder)) await run('dpkg-deb', ['-x', file, '.'], { cwd: folder });
  });
}
