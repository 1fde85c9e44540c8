// `npm test`: the whole suite that needs only npm. What follows `--` goes to vitest, such as the name of a file.
import { spawnSync } from 'node:child_process';
import process from 'node:process';
import { systemClock } from '../src/lib/clock.ts';
import { runMarked } from './tested-tree.ts';

const args = process.argv.slice(2);
process.exitCode = await runMarked(process.cwd(), args, runSuite, () => systemClock.now());

function runSuite(): number {
  const suite = ['run', '--config', 'test/vitest.config.ts', ...args];
  const { status, error } = spawnSync('node_modules/.bin/vitest', suite, { stdio: 'inherit' });
  if (error !== undefined) console.error(`cannot run vitest: ${error.message}`);
  return status ?? 1;
}
