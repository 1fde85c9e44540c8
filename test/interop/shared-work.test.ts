// Three nodes on PostgreSQL and a bucket renew every bin together, and one of them dies in the middle: once a node that
// helps, once the publisher. Then the audit log, in the same ledger, accounts for every signature of every node.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { PASSWORD, startPostgres, type PostgresServer } from '../../scripts/interop/postgres-server.ts';
import { BUCKET, CREDENTIALS, startS3Server, type S3Server } from '../../scripts/interop/s3-server.ts';
import { eventually } from '../support/publisher-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const PROGRAM = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));
const CEREMONY = fileURLToPath(new URL('../../dist/keys-ceremony/main.js', import.meta.url));
const BINS = 512;
const WAIT_MS = 90_000;

let postgres: PostgresServer;
let s3: S3Server;
beforeAll(async () => {
  postgres = await startPostgres();
  s3 = await startS3Server();
});
afterAll(async () => {
  await s3.stop();
  await postgres.stop();
});

/** A line of a node's log. */
interface Line {
  readonly msg: string;
  readonly bins?: number;
}

interface Node {
  readonly child: ChildProcess;
  readonly ended: Promise<[number | null]>;
  readonly lines: Line[];
}

test('every bin is renewed by all of them, whoever dies', { timeout: 4 * WAIT_MS }, async () => {
  const index = await found();
  const nodes = [index.serve(), index.serve(), index.serve()];
  const said = (node: Node, msg: string): number => node.lines.filter((line) => line.msg === msg).length;
  for (const node of nodes) await eventually('it listens', () => said(node, 'listening') > 0, WAIT_MS);
  const alive = (): Node[] =>
    nodes.filter(({ child }) => child.exitCode === null && child.signalCode === null);

  for (const lost of ['a helper', 'the publisher'] as const) {
    const before = new Map(nodes.map((node) => [node, said(node, 'helped to sign')]));
    const hasHelped = (node: Node): boolean => said(node, 'helped to sign') > (before.get(node) ?? 0);
    const renewed = index.run('renew', '--all', '--json');
    await eventually('a node helps', () => alive().some(hasHelped), WAIT_MS);
    const helper = alive().find(hasHelped)!;
    const victim =
      lost === 'a helper' ? helper : alive().find((node) => node !== helper && said(node, 'published') > 0)!;
    victim.child.kill('SIGKILL');
    await victim.ended;
    expect(await renewed).toMatch(/"snapshot": \d+/);
  }
  expect(alive()).toHaveLength(1);
  for (const { child, ended } of alive()) {
    child.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
  }
  const helped = nodes.map((node) => said(node, 'helped to sign'));
  console.log(
    `shares of ${BINS} bins, renewed twice, that the nodes signed for others: ${helped.join(', ')}`,
  );
  expect(await index.run('fsck', '--json')).toMatch(/"violations": \[\]/);
  const verified = JSON.parse(await index.run('audit', 'verify', '--json')) as Record<string, unknown>;
  expect(verified).toMatchObject({ sound: true, pending: 0, uncovered: 0, problems: [] });
  const log = path.join(index.folder, 'audit.ndjson');
  await index.run('audit', 'export', '--to', log);
  const records = (await readFile(log, 'utf8')).split('\n').filter((line) => line !== '');
  const helpers = records.map((line) => JSON.parse(line) as { kind: string; node?: string });
  const named = new Set(helpers.filter(({ kind }) => kind === 'helping').map(({ node }) => node));
  expect(named.size).toBeGreaterThanOrEqual(helped.filter((count) => count > 0).length);
  await index.run('audit', 'verify', '--log', log, '--json');
});

async function found() {
  const folder = path.join(await tempDir(), 'index');
  const { port, user, database } = await postgres.createDatabase('shared');
  const env = {
    ...process.env,
    ...CREDENTIALS,
    COUNTERSIGN_STORE: `s3://${BUCKET}/shared?endpoint=${s3.endpoint}&path-style=true`,
    COUNTERSIGN_LEDGER: `postgres://${user}@127.0.0.1:${port}/${database}`,
    COUNTERSIGN_LEDGER_PASSWORD: PASSWORD,
    COUNTERSIGN_LISTEN: '127.0.0.1:0',
    COUNTERSIGN_LOG_LEVEL: 'info',
  };
  const start = (program: string, ...args: string[]): ChildProcess => {
    const cwd = program === CEREMONY ? path.dirname(folder) : folder;
    const child = spawn(process.execPath, [program, ...args], { cwd, env, stdio: 'pipe' });
    onTestFinished(() => void child.kill('SIGKILL'));
    return child;
  };
  const finish = async (program: string, ...args: string[]): Promise<string> => {
    const child = start(program, ...args);
    const [said, complained, [code]] = await Promise.all([
      text(child.stdout!),
      text(child.stderr!),
      once(child, 'close') as Promise<[number | null]>,
    ]);
    if (code !== 0) throw new Error(`${args.join(' ')} ended with ${String(code)}: ${complained}${said}`);
    return said;
  };
  await finish(CEREMONY, 'rehearse', '--out', folder, '--bins', String(BINS), '--json');
  await finish(PROGRAM, 'bootstrap', 'bundle.json', '--json');
  const serve = (): Node => {
    const child = start(PROGRAM, 'serve', '--json');
    child.stdout?.resume();
    const lines: Line[] = [];
    createInterface({ input: child.stderr! }).on('line', (line) => {
      if (line.startsWith('{')) lines.push(JSON.parse(line) as Line);
    });
    return { child, ended: once(child, 'close') as Promise<[number | null]>, lines };
  };
  return { folder, serve, run: (...args: string[]) => finish(PROGRAM, ...args) };
}
