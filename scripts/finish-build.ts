// After tsc: makes the programs of package.json "bin" executable and puts them where npx looks first. npm does so for
// packages that it installs, not for the package it stands in; without it npx would build a cache of its own.
import { chmod, mkdir, readFile, rm, symlink } from 'node:fs/promises';
import path from 'node:path';

const FOLDER = 'node_modules/.bin';

const { bin } = JSON.parse(await readFile('package.json', 'utf8')) as { bin: Record<string, string> };
await mkdir(FOLDER, { recursive: true });
for (const [name, file] of Object.entries(bin)) {
  await chmod(file, 0o755);
  await rm(path.join(FOLDER, name), { force: true });
  await symlink(path.relative(FOLDER, file), path.join(FOLDER, name));
}
