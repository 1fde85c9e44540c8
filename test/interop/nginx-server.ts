// A real nginx on loopback until the test ends.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { onTestFinished } from 'vitest';
import { freePorts } from '../../scripts/interop/server-process.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Starts `program` with what `servers` puts into its `http` block for a port; its address, when it answers. */
export async function startNginx(program: string, servers: (port: number) => string): Promise<string> {
  const folder = await tempDir();
  const [port = 0] = await freePorts(1);
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'];
  const config = [
    'user root;', // Otherwise a master that runs as root would not read the directories of a test.
    'daemon off;',
    `pid ${folder}/pid;`,
    'error_log stderr crit;',
    'events {}',
    'http { access_log off;',
    ...temporary.map((name) => `${name}_temp_path ${folder}/${name};`),
    servers(port),
    '}',
  ];
  await writeFile(path.join(folder, 'nginx.conf'), config.join('\n'));
  const child = spawn(program, ['-c', path.join(folder, 'nginx.conf'), '-p', folder], { stdio: 'inherit' });
  onTestFinished(async () => {
    if (child.exitCode !== null) return;
    child.kill('SIGTERM');
    await once(child, 'close');
  });
  const url = `http://127.0.0.1:${port}`;
  for (let attempt = 0; ; attempt++) {
    try {
      await fetch(url);
      return url;
    } catch (error) {
      if (attempt === 100 || child.exitCode !== null) throw error;
      await systemClock.sleep(100);
    }
  }
}
