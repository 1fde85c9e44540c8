// npm run test:interop: the real clients against the real programs. What cannot be installed is skipped by name.
// `npm run test:interop -- PART…` does only those parts: the times in docs/ are those of a run without the others.
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { systemClock } from '../src/lib/clock.ts';
import { installAge } from './interop/age.ts';
import { runAttacks } from './interop/attacks/run-attacks.ts';
import { newestNode, pythonTuf, type Component } from './interop/components.ts';
import { checkConformance, conformanceSuite } from './interop/conformance.ts';
import { installFakeTime } from './interop/fake-time.ts';
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
import { installSoftHsm } from './interop/softhsm.ts';
import { tough } from './interop/tough.ts';
import { chaosSuite, mirrorKills, namedSuites, otherSuites, suiteOf, suiteOnNode } from './interop/suites.ts';

interface Scenario {
  readonly what: string;
  /** Resolves with one line about what was seen. */
  readonly work: (program: string) => Promise<string>;
}

/** With SLOW=1: every client at every size, and the pages in docs/ are written from the run. */
const SLOW = process.env['SLOW'] === '1';

const PARTS = ['renewal', 'matrix', 'attacks', 'clients', 'servers', 'speed', 'chaos', 'node'] as const;
type Part = (typeof PARTS)[number];

const ALL_CLIENTS: Component = { name: 'all TUF clients', program: process.execPath, reason: '' };

const asked = process.argv.slice(2);
const stranger = asked.find((name) => !PARTS.some((part) => part === name));
if (stranger !== undefined) throw new Error(`${stranger} is none of ${PARTS.join(', ')}`);

const folder = await mkdtemp(path.join(tmpdir(), 'countersign-interop-'));
/** Of the matrix, so far. */
const rows: MatrixRow[] = [];
const counts = { passed: 0, failed: 0, skipped: 0 };

try {
  const python = await pythonTuf();
  // All of them first: a suite installs what is not there, and two that run at once would install the same.
  const everyone = await contenders();
  const pip = await installPip();
  await installFakeTime();
  // Alone, because it says how many bins must be due at the same moment.
  await part('renewal', () =>
    perform(python, [
      {
        what: '16384 bins, renewal under load',
        work: (program) => renewalUnderLoad({ python: program, folder }, 16_384),
      },
    ]),
  );
  await Promise.all([clients(everyone, python), part('servers', () => servicesAround(pip, python))]);
  // Alone as well: their figures are times.
  await part('speed', () => perform(ALL_CLIENTS, [{ what: 'time of a refresh', work: speed }]));
  await part('chaos', chaos);
  await part('node', async () => {
    const what = SLOW ? 'npm test' : 'npm test, what meets the runtime';
    await perform(await newestNode(), [{ what, work: (node) => suiteOnNode(node, SLOW) }]);
  });
} finally {
  await rm(folder, { recursive: true, force: true });
}
say(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;

async function part(name: Part, work: () => Promise<void>): Promise<void> {
  if (asked.length === 0 || asked.includes(name)) await work();
}

/** One client after the other, which leaves a core to the servers. */
async function clients(everyone: readonly Contender[], python: Component): Promise<void> {
  await part('matrix', () => matrix(everyone, python));
  await part('attacks', () =>
    perform(ALL_CLIENTS, [{ what: 'attacks', work: () => runAttacks(path.join(folder, 'attacks')) }]),
  );
  await part('clients', () => suitesOfClients(everyone));
}

async function matrix(everyone: readonly Contender[], python: Component): Promise<void> {
  for (const bins of SIZES) {
    // tough reads every bin: the largest takes it ten minutes.
    const clients = SLOW || bins < 16_384 ? everyone : everyone.filter(({ kind }) => kind !== tough);
    await perform(
      ALL_CLIENTS,
      FORMATS.map((format) => ({
        what: `${bins} bins, ${format}`,
        work: () => matrixOf(bins, format, clients, python.program),
      })),
    );
  }
  if (SLOW && rows.length === SIZES.length * FORMATS.length * everyone.length) {
    await writePart('matrix', matrixText(rows));
  }
}

async function suitesOfClients(everyone: readonly Contender[]): Promise<void> {
  for (const { component: client } of everyone) {
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
  await perform(await conformanceSuite(), [{ what: 'countersign client', work: checkConformance }]);
}

/** What stands around a service: stores, ledgers, keys, mirrors, installers; one after the other. */
async function servicesAround(pip: Component, python: Component): Promise<void> {
  const postgres = await postgresServer();
  await perform({ ...ALL_CLIENTS, name: 'SeaweedFS 4.48' }, [
    { what: 'S3 store, whole service', work: otherSuites },
  ]);
  await perform(postgres, [
    { what: 'ledger, whole service', work: () => namedSuites('postgres-') },
    { what: 'bulk work of three nodes', work: () => namedSuites('shared-work') },
  ]);
  await perform(await installOpenBao(), [
    { what: 'transit, KV, whole service', work: () => namedSuites('vault-signer', 'signer-service') },
  ]);
  await perform(await installNginx(), [
    { what: 'mirror behind it, and in a bucket', work: () => namedSuites('mirror.test.ts') },
    { what: 'cache before an index', work: () => namedSuites('nginx-cache') },
  ]);
  await perform(python, [{ what: 'from a mirror that is killed', work: mirrorKills }]);
  await perform(await installSoftHsm(), [
    { what: 'PKCS#11', work: () => namedSuites('pkcs11-', 'ceremony-token') },
  ]);
  await perform(await installAge(), [
    { what: "a ceremony's archive", work: () => namedSuites('ceremony-archive') },
  ]);
  await perform(await installMoto(), [{ what: 'AWS KMS', work: () => namedSuites('kms-signer') }]);
  await perform(pip, [{ what: 'installs through the proxy', work: () => namedSuites('proxy-pip') }]);
  await perform(await installPypiServer(), [
    { what: 'back-signing of real wheels', work: () => namedSuites('backsign-sources') },
  ]);
}

/** Needs two servers: named by the one that is missing. */
async function chaos(): Promise<void> {
  const postgres = await postgresServer();
  const needed = postgres.program === undefined ? postgres : await installOpenBao();
  await perform(needed, [{ what: 'three nodes, all servers, faults', work: chaosSuite }]);
}

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
  const times = [figures.own, ...figures.others].map(({ client, firstMs, laterMs, absent }) =>
    firstMs === undefined
      ? `${client} ${absent ?? '–'}`
      : `${client} ${firstMs.toFixed(0)} ms, then ${laterMs?.toFixed(0) ?? '–'} ms`,
  );
  return times.join('; ');
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

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}
