// PostgreSQL and pgbouncer, from the packages of the system: they are programs of many files that expect their place.
import { access, readdir } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import type { Component } from './components.ts';
import { run } from './run.ts';

/** Installs them unless they are there, as far as this user may. */
export async function postgresServer(): Promise<Component> {
  const name = 'PostgreSQL';
  try {
    if (!(await isInstalled())) {
      if (process.getuid?.() !== 0) {
        throw new Error('needs root: install the packages postgresql and pgbouncer');
      }
      await run('apt-get', ['update', '-qq']);
      const packages = ['install', '-y', '-qq', '--no-install-recommends', 'postgresql', 'pgbouncer'];
      await run('apt-get', packages, { env: { DEBIAN_FRONTEND: 'noninteractive' }, timeoutMs: 600_000 });
      if (!(await isInstalled())) throw new Error('the packages hold no initdb or no pgbouncer');
    }
    return { name, program: process.execPath, reason: '' };
  } catch (error) {
    return { name, program: undefined, reason: error instanceof Error ? error.message : String(error) };
  }
}

async function isInstalled(): Promise<boolean> {
  const system = path.join(path.parse(process.execPath).root, 'usr');
  const debian = path.join(system, 'lib', 'postgresql');
  const versions = await readdir(debian).catch((): string[] => []);
  const told = await run('pg_config', ['--bindir']).then(
    (folder) => [folder.trim()],
    (): string[] => [],
  );
  const folders = [...told, ...versions.map((version) => path.join(debian, version, 'bin'))];
  const servers = await Promise.all(folders.map((folder) => exists(path.join(folder, 'initdb'))));
  const search = [...(process.env['PATH'] ?? '').split(path.delimiter), path.join(system, 'sbin')];
  const poolers = await Promise.all(search.map((folder) => exists(path.join(folder, 'pgbouncer'))));
  return servers.includes(true) && poolers.includes(true);
}

function exists(file: string): Promise<boolean> {
  return access(file).then(
    () => true,
    () => false,
  );
}
