// `npm run check`: everything that a change must pass, in the order in which it fails fastest. Stops at the first
// stage that fails and names it. `-- --all`: runs the tests also when `npm test` has passed on exactly this tree.
import { spawnSync } from 'node:child_process';
import { performance } from 'node:perf_hooks';
import process from 'node:process';
import { staleDocs } from './sync-docs.ts';
import { testedBefore, treeDigest } from './tested-tree.ts';

interface Stage {
  readonly name: string;
  /** True when the stage passes; a failing stage has said why. */
  readonly run: () => boolean | Promise<boolean>;
}

const vitest = (...args: readonly string[]): (() => boolean) =>
  tool('vitest', 'run', '--config', 'test/vitest.config.ts', ...args);

const EVERYTHING = process.argv.includes('--all');

const STAGES: readonly Stage[] = [
  { name: 'format', run: tool('prettier', '--check', '--log-level', 'warn', '.') },
  { name: 'types', run: tool('tsc', '--noEmit', '-p', '.') },
  {
    name: 'lint',
    run: tool('eslint', '--config', 'scripts/eslint.config.js', 'src', 'keys-ceremony', 'scripts', 'test'),
  },
  { name: 'architecture', run: vitest('--reporter=dot', 'test/architecture.test.ts') },
  { name: 'docs in sync', run: docsInSync },
  { name: 'tests', run: tests },
];

function tool(name: string, ...args: readonly string[]): () => boolean {
  return () => {
    const { status, error } = spawnSync(`node_modules/.bin/${name}`, args, { stdio: 'inherit' });
    if (error !== undefined) console.error(`cannot run ${name}: ${error.message}`);
    return status === 0;
  };
}

async function docsInSync(): Promise<boolean> {
  const stale = await staleDocs();
  for (const file of stale) console.error(`${file} is not what the code says: run "npm run docs"`);
  return stale.length === 0;
}

async function tests(): Promise<boolean> {
  const checkout = process.cwd();
  const tested = EVERYTHING ? undefined : await testedBefore(checkout, await treeDigest(checkout));
  if (tested === undefined) return vitest('--exclude=test/architecture.test.ts')();
  console.log(`check: NOT REPEATED: npm test passed on exactly this tree at ${tested.at}; --all repeats it`);
  return true;
}

function seconds(since: number): string {
  return `${((performance.now() - since) / 1000).toFixed(1)} s`;
}

const started = performance.now();
for (const { name, run } of STAGES) {
  const begun = performance.now();
  console.log(`check: ${name} …`);
  if (!(await run())) {
    console.error(`check: ${name} FAILED after ${seconds(begun)}`);
    process.exitCode = 1;
    break;
  }
  console.log(`check: ${name} passed in ${seconds(begun)}`);
}
if (process.exitCode === undefined)
  console.log(`check: all ${STAGES.length} stages passed in ${seconds(started)}`);
