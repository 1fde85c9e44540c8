// After tsc: makes the programs of package.json "bin" executable. npm does so for packages that it installs, not for
// the package it stands in.
import { chmod, readFile } from 'node:fs/promises';

const { bin } = JSON.parse(await readFile('package.json', 'utf8')) as { bin: Record<string, string> };
for (const file of Object.values(bin)) await chmod(file, 0o755);
