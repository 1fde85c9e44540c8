// Test files that the interop suite runs when their servers and programs are there: each run resolves with the line that
// vitest counts in, and rejects with what failed.
import process from 'node:process';
import { run } from './run.ts';

/** Milliseconds after which a suite hangs: many times what it takes on a busy computer. */
const SUITE_MS = 1_200_000;

const COUNT = /^ *Tests .*$/m;

/** Those test/interop/*.test.ts whose names begin so. */
export function namedSuites(...files: readonly string[]): Promise<string> {
  return interopTests(
    files.map((name) => `test/interop/${name}`),
    COUNT,
  );
}

/** All that is run under no other name, with the server of a bucket, which they install and start themselves. */
export function otherSuites(): Promise<string> {
  const elsewhere =
    'chaos,shared-work,clients,mirror,mirror-kill,nginx-cache,unusual-key,backsign-sources,proxy-pip';
  const patterns = ['postgres-*', `{${elsewhere}}.test.ts`, '{vault,signer,pkcs11,kms,ceremony}-*'];
  return interopTests(
    patterns.map((pattern) => `--exclude=test/interop/${pattern}`),
    COUNT,
  );
}

/** The part of a test/interop/NAME.test.ts that is about one client. */
export function suiteOf(client: string, name: string): Promise<string> {
  const pattern = ['--testNamePattern', client.replaceAll('.', '\\.')];
  return interopTests([`test/interop/${name}.test.ts`, ...pattern], COUNT);
}

/** test/interop/mirror-kill.test.ts; two hundred kills with SLOW=1. */
export function mirrorKills(): Promise<string> {
  return interopTests(['test/interop/mirror-kill.test.ts'], COUNT, 4 * SUITE_MS);
}

/** test/interop/chaos.test.ts, which tells what it did; ten minutes with SLOW=1. */
export function chaosSuite(): Promise<string> {
  return interopTests(['test/interop/chaos.test.ts'], /^events: .*$/m, 2 * SUITE_MS);
}

/**
 * The suite of `npm test` on another Node, which builds nothing: the programs are there. Without `whole` it is what
 * meets the runtime: the programs as they are run, HTTP, threads and killed processes, stores, ledgers and keys, and the
 * bytes of everything published. What is left out drives our own code over a store in memory, with faults and lots drawn
 * by the test: the same on each Node that runs the rest.
 */
export async function suiteOnNode(node: string, whole: boolean): Promise<string> {
  const files = ['contracts', 'golden', 'http', 'transcripts', 'vectors'].map((name) => `test/${name}/`);
  const faults = ['backsign', 'kill', 'mirror-kill', 'threads', 'transcript', 'two-services'];
  files.push(...faults.map((name) => `test/faults/${name}.test.ts`));
  const args = ['--config', 'test/vitest.config.ts', ...(whole ? [] : files)];
  const options = { timeoutMs: 2 * SUITE_MS, reasonLines: /FAIL|Error:|Tests / };
  return lineOf(await vitest(node, args, options), COUNT);
}

async function interopTests(
  args: readonly string[],
  line: RegExp,
  timeoutMs: number = SUITE_MS,
): Promise<string> {
  const config = ['--config', 'test/vitest.interop.config.ts'];
  return lineOf(await vitest(process.execPath, [...config, ...args], { timeoutMs }), line);
}

function vitest(
  node: string,
  args: readonly string[],
  options: { readonly timeoutMs: number; readonly reasonLines?: RegExp },
): Promise<string> {
  const env = { NO_COLOR: '1' };
  return run(node, ['node_modules/vitest/vitest.mjs', 'run', ...args], { env, ...options });
}

function lineOf(output: string, line: RegExp): string {
  return line.exec(output)?.[0].trim() ?? 'no count';
}
