// npm run test:interop: the real clients against the real programs. What cannot be installed is skipped by name.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { systemClock } from '../src/lib/clock.ts';
import { installAge } from './interop/age.ts';
import { runAttacks } from './interop/attacks/run-attacks.ts';
import { CLIENTS } from './interop/clients.ts';
import { newestNode, pythonTuf, type Component } from './interop/components.ts';
import { checkConformance, conformanceSuite } from './interop/conformance.ts';
import type { Format } from './interop/installation.ts';
import { matrixText, speedText, writePart } from './interop/interop-page.ts';
import {
  checkRepository,
  contenders,
  failures,
  FORMATS,
  SIZES,
  type Contender,
  type MatrixRow,
} from './interop/matrix/matrix.ts';
import { measureSpeed } from './interop/speed/speed.ts';
import { postgresServer } from './interop/postgres.ts';
import { installMoto, installOpenBao } from './interop/key-services.ts';
import { renewalUnderLoad } from './interop/python-tuf.ts';
import { installNginx } from './interop/nginx.ts';
import { installPip } from './interop/real-pip.ts';
import { installPypiServer } from './interop/pypi-server.ts';
import { run } from './interop/run.ts';
import { installSoftHsm } from './interop/softhsm.ts';

interface Scenario {
  readonly what: string;
  /** Resolves with one line about what was seen. */
  readonly work: (program: string) => Promise<string>;
}

/** With SLOW=1: every client at every size, and the pages in docs/ are written from the run. */
const SLOW = process.env['SLOW'] === '1';

/** Milliseconds after which a suite hangs: many times what it takes on a busy computer. */
const SUITE_MS = 1_200_000;

const folder = await mkdtemp(path.join(tmpdir(), 'countersign-interop-'));
/** Of the matrix, so far. */
const rows: MatrixRow[] = [];
const counts = { passed: 0, failed: 0, skipped: 0 };

try {
  const python = await pythonTuf();
  await perform(python, [
    {
      what: '16384 bins, renewal under load',
      work: (program) => renewalUnderLoad({ python: program, folder }, 16_384),
    },
  ]);
  const everyone = await contenders();
  for (const bins of SIZES) {
    // The largest in the older form takes ten minutes: tough reads every bin.
    const formats = SLOW || bins < 16_384 ? FORMATS : FORMATS.slice(0, 1);
    await perform(
      { name: 'all TUF clients', program: process.execPath, reason: '' },
      formats.map((format) => ({
        what: `${bins} bins, ${format}`,
        work: () => matrixOf(bins, format, everyone, python.program),
      })),
    );
  }
  if (SLOW && rows.length === SIZES.length * FORMATS.length * everyone.length) {
    await writePart('matrix', matrixText(rows));
  }
  await perform({ name: 'all TUF clients', program: process.execPath, reason: '' }, [
    { what: 'time of a refresh', work: speed },
    { what: 'attacks', work: () => runAttacks(path.join(folder, 'attacks')) },
  ]);
  const clients: Component[] = [];
  // All of them first: a suite installs what is not there.
  for (const kind of CLIENTS) clients.push(await kind.install());
  for (const client of clients) {
    const isOlderMajor = client.name === 'python-tuf 6.0.0' || client.name === 'tuf-js 5.0.1';
    await perform(client, [
      // The matrix asks the same of each client at three sizes.
      ...(SLOW ? [{ what: 'refresh, download, expiry', work: () => suiteOf(client.name, 'clients') }] : []),
      { what: 'a root signed with P-384', work: () => suiteOf(client.name, 'unusual-key') },
      ...(SLOW || !isOlderMajor
        ? [{ what: 'every ceremony, from root 1', work: () => suiteOf(client.name, 'ceremony-clients') }]
        : []),
    ]);
  }
  await perform({ name: 'SeaweedFS 4.48', program: process.execPath, reason: '' }, [
    { what: 'S3 store, whole service', work: s3Suite },
  ]);
  const postgres = await postgresServer();
  await perform(postgres, [
    { what: 'ledger, whole service', work: postgresSuite },
    { what: 'bulk work of three nodes', work: () => namedSuites('shared-work') },
  ]);
  const openBao = await installOpenBao();
  await perform(openBao, [
    { what: 'transit, KV, whole service', work: () => namedSuites('vault-signer', 'signer-service') },
  ]);
  await perform(postgres.program === undefined ? postgres : openBao, [
    { what: 'three nodes, all servers, faults', work: chaosSuite },
  ]);
  await perform(await installNginx(), [
    { what: 'mirror behind it, and in a bucket', work: () => namedSuites('mirror') },
  ]);
  await perform(await installSoftHsm(), [
    { what: 'PKCS#11', work: () => namedSuites('pkcs11-', 'ceremony-token') },
  ]);
  await perform(await installAge(), [
    { what: "a ceremony's archive", work: () => namedSuites('ceremony-archive') },
  ]);
  await perform(await installMoto(), [{ what: 'AWS KMS', work: () => namedSuites('kms-signer') }]);
  await perform(await installPip(), [
    { what: 'installs through the proxy', work: () => namedSuites('proxy-pip') },
  ]);
  await perform(await installPypiServer(), [
    { what: 'back-signing of real wheels', work: () => namedSuites('backsign-sources') },
  ]);
  await perform(await conformanceSuite(), [{ what: 'countersign client', work: checkConformance }]);
  await perform(await newestNode(), [{ what: 'npm test', work: wholeSuite }]);
} finally {
  await rm(folder, { recursive: true, force: true });
}
say(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;

async function matrixOf(
  bins: (typeof SIZES)[number],
  format: Format,
  clients: readonly Contender[],
  python: string | undefined,
): Promise<string> {
  const result = await checkRepository(folder, bins, format, clients, python);
  rows.push(...result.rows);
  const wrong = result.rows.flatMap(failures);
  if (wrong.length > 0) throw new Error(wrong.join('\n'));
  const ran = result.rows.flatMap(({ cells }) => Object.values(cells)).filter(({ passed }) => passed).length;
  return `${ran} cells ran; ${result.detail}`;
}

async function speed(): Promise<string> {
  // A refresh of tuf-js at this size does not end within 200 seconds.
  const figures = await measureSpeed(path.join(folder, 'speed'), SLOW);
  if (SLOW) await writePart('speed', speedText(figures));
  const times = [figures.own, ...figures.others].map(({ client, firstMs, laterMs, absent }) => {
    const ms = laterMs ?? firstMs;
    return ms === undefined ? `${client} ${absent ?? '–'}` : `${client} ${ms.toFixed(0)} ms`;
  });
  return times.join(', ');
}

async function perform({ name, program, reason }: Component, scenarios: readonly Scenario[]): Promise<void> {
  for (const { what, work } of scenarios) {
    const startedAt = systemClock.now();
    const report = (verdict: keyof typeof counts, detail: string): void => {
      counts[verdict] += 1;
      const seconds = ((systemClock.now() - startedAt) / 1000).toFixed(1);
      say(`${verdict.padEnd(8)}${name.padEnd(18)}${what.padEnd(32)}${seconds.padStart(6)} s  ${detail}`);
    };
    if (program === undefined) {
      report('skipped', `cannot be installed: ${reason.split('\n')[0] ?? ''}`);
      continue;
    }
    try {
      report('passed', await work(program));
    } catch (error) {
      report('failed', error instanceof Error ? error.message : String(error));
    }
  }
}

/** test/interop/postgres-*.test.ts; the server is there. */
async function postgresSuite(node: string): Promise<string> {
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.interop.config.ts'];
  vitest.push('test/interop/postgres-');
  const output = await run(node, vitest, { env: { NO_COLOR: '1' }, timeoutMs: SUITE_MS });
  return /^ *Tests .*$/m.exec(output)?.[0].trim() ?? 'no count';
}

/** The part of a test/interop/NAME.test.ts that is about one client. */
async function suiteOf(client: string, name: string): Promise<string> {
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.interop.config.ts'];
  vitest.push(`test/interop/${name}.test.ts`, '--testNamePattern', client.replaceAll('.', '\\.'));
  const output = await run(process.execPath, vitest, { env: { NO_COLOR: '1' }, timeoutMs: SUITE_MS });
  return /^ *Tests .*$/m.exec(output)?.[0].trim() ?? 'no count';
}

/** Those test/interop/*.test.ts whose servers and programs are installed. */
async function namedSuites(...files: readonly string[]): Promise<string> {
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.interop.config.ts'];
  vitest.push(...files.map((name) => `test/interop/${name}`));
  const output = await run(process.execPath, vitest, { env: { NO_COLOR: '1' }, timeoutMs: SUITE_MS });
  return /^ *Tests .*$/m.exec(output)?.[0].trim() ?? 'no count';
}

/** The other test/interop/*.test.ts, which install and start their server themselves. */
async function s3Suite(node: string): Promise<string> {
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.interop.config.ts'];
  vitest.push(
    '--exclude=test/interop/postgres-*',
    '--exclude=test/interop/{chaos,shared-work,clients,mirror,unusual-key,backsign-sources}.test.ts',
    '--exclude=test/interop/{vault,signer,pkcs11,kms,ceremony}-*',
  );
  const output = await run(node, vitest, { env: { NO_COLOR: '1' }, timeoutMs: SUITE_MS });
  return /^ *Tests .*$/m.exec(output)?.[0].trim() ?? 'no count';
}

/** test/interop/chaos.test.ts, which tells what it did; ten minutes with SLOW=1. */
async function chaosSuite(): Promise<string> {
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.interop.config.ts'];
  vitest.push('test/interop/chaos.test.ts');
  const output = await run(process.execPath, vitest, { env: { NO_COLOR: '1' }, timeoutMs: 2 * SUITE_MS });
  return /^events: .*$/m.exec(output)?.[0] ?? 'no figures';
}

/** The suite of `npm test`, which builds nothing: the programs are there. */
async function wholeSuite(node: string): Promise<string> {
  const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts'];
  const options = { env: { NO_COLOR: '1' }, timeoutMs: 2 * SUITE_MS, reasonLines: /FAIL|Error:|Tests / };
  const output = await run(node, vitest, options);
  return /^ *Tests .*$/m.exec(output)?.[0].trim() ?? 'no count';
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
