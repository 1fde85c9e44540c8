// SoftHSM from the system, or from the packages of Debian, unpacked into the cache: nothing is installed system-wide.
import { access, readdir } from 'node:fs/promises';
import path from 'node:path';
import { component, type Component } from './components.ts';
import { run } from './run.ts';

const NAME = 'SoftHSM 2';
const PACKAGES = ['softhsm2', 'libsofthsm2', 'softhsm2-common'];

const LIBRARY = /(^|\/)libsofthsm2\.so$/;

export interface SoftHsmComponent extends Component {
  /** The PKCS#11 library; absent exactly when `program` is. */
  readonly modulePath?: string;
}

/** `program` is softhsm2-util. */
export async function installSoftHsm(): Promise<SoftHsmComponent> {
  for (const modulePath of ['/usr/lib/softhsm/libsofthsm2.so', '/usr/local/lib/softhsm/libsofthsm2.so']) {
    const program = path.join(modulePath, '../../../bin/softhsm2-util');
    const found = await Promise.all([access(modulePath), access(program)]).then(
      () => true,
      () => false,
    );
    if (found) return { name: NAME, program, modulePath, reason: '' };
  }
  const unpacked = await component(NAME, 'softhsm2', 'usr/bin/softhsm2-util', async (folder) => {
    await run('apt-get', ['download', ...PACKAGES], { cwd: folder });
    for (const file of await readdir(folder)) await run('dpkg-deb', ['-x', file, '.'], { cwd: folder });
  });
  if (unpacked.program === undefined) return unpacked;
  const folder = path.join(unpacked.program, '../../..');
  const library = (await readdir(folder, { recursive: true })).find((name) => LIBRARY.test(name));
  if (library === undefined)
    return { name: NAME, program: undefined, reason: 'the packages hold no library' };
  return { ...unpacked, modulePath: path.join(folder, library) };
}
