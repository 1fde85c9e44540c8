// Three nodes on PostgreSQL and a bucket do bulk work together, and one of them dies in the middle: once a node that helps,
// once the publisher. Every bin is renewed; files are signed that a fourth computer has sorted. Then the audit log, in the
// same ledger, accounts for every signature of every node.
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { modelFile } from '../../scripts/bench/model-files.ts';
import { eventually } from '../support/publisher-process.ts';
import {
  alive,
  foundIndex,
  publisherOf,
  said,
  startServers,
  WAIT_MS,
  type Index,
  type Node,
  type Servers,
} from './three-nodes.ts';

const BINS = 512;
const FILES = 20_000;

let servers: Servers;
beforeAll(async () => {
  servers = await startServers();
});
afterAll(() => servers.stop());

test('every bin is renewed by all of them, whoever dies', { timeout: 4 * WAIT_MS }, async () => {
  const index = await foundIndex(servers, BINS);
  const nodes = await index.serveThree();
  for (const lost of ['a helper', 'the publisher'] as const) {
    expect(await killing(nodes, lost, () => index.run('renew', '--all', '--json'))).toMatch(
      /"snapshot": \d+/,
    );
  }
  await checkEnd(index, nodes);
});

test.each(['a helper', 'the publisher'] as const)(
  'files that another computer has sorted are signed by all of them, and %s dies',
  { timeout: 4 * WAIT_MS },
  async (lost) => {
    const index = await foundIndex(servers, BINS);
    const nodes = await index.serveThree();
    const lines = Array.from({ length: FILES }, (_, number) => {
      const { path: target, target: file } = modelFile(2, number);
      return JSON.stringify({ path: target, length: file.length, sha256: file.hashes.sha256 });
    });
    await writeFile(path.join(index.folder, 'list.ndjson'), `${lines.join('\n')}\n`);
    const answer = await killing(nodes, lost, () =>
      index.run('backsign', '--manifest', 'list.ndjson', '--json'),
    );
    expect(JSON.parse(answer)).toMatchObject({ files: FILES, result: { agreed: FILES } });
    await checkEnd(index, nodes);
  },
);

/** Runs a command, and kills one of the nodes while they carry it out together; the command's answer. */
async function killing(
  nodes: readonly Node[],
  lost: 'a helper' | 'the publisher',
  command: () => Promise<string>,
): Promise<string> {
  const before = new Map(nodes.map((node) => [node, said(node, 'helped to sign')]));
  const hasHelped = (node: Node): boolean => said(node, 'helped to sign') > (before.get(node) ?? 0);
  const answer = command();
  await eventually('a node helps', () => alive(nodes).some(hasHelped), WAIT_MS);
  const helper = alive(nodes).find(hasHelped)!;
  // Whoever stands by helps; the publisher never says so.
  const victim = lost === 'a helper' ? helper : await publisherOf(nodes);
  victim.child.kill('SIGKILL');
  await victim.ended;
  return answer;
}

async function checkEnd(index: Index, nodes: readonly Node[]): Promise<void> {
  for (const { child, ended } of alive(nodes)) {
    child.kill('SIGTERM');
    expect((await ended)[0]).toBe(0);
  }
  const helped = nodes.map((node) => said(node, 'helped to sign'));
  console.log(`shares of ${BINS} bins that the nodes signed for others: ${helped.join(', ')}`);
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
}
