// Two nodes on one ledger and one store are restarted one after the other, behind a balancer that asks /readyz. Requests
// go on all the time, each is sent once, and none fails.
import { appendFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { eventually } from '../support/publisher-process.ts';
import { rehearse, runCommand, startService, type ServiceProcess } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Milliseconds: how often the balancer looks, and how long a node goes on answering. */
const LOOK_MS = 50;
const DRAIN_MS = 2000;

interface Node {
  readonly service: ServiceProcess;
  readonly address: string;
  isReady: boolean;
}

async function ready(address: string): Promise<boolean> {
  return fetch(`${address}/readyz`).then(
    (answer) => answer.ok,
    () => false,
  );
}

test('two nodes are restarted one after the other without a failed request', async () => {
  const directory = join(await tempDir(), 'installation');
  await rehearse(directory, 16);
  await appendFile(join(directory, 'countersign.yaml'), `\nlimits: { drain-ms: ${DRAIN_MS} }\n`);
  const founded = await runCommand(directory, ['bootstrap', 'bundle.json']);
  expect(founded.how, founded.stderr).toBe(0);
  const start = async (): Promise<Node> => {
    const service = startService(directory);
    const address = await service.address;
    await eventually('the node is ready', () => ready(address));
    return { service, address, isReady: true };
  };
  const nodes = [await start(), await start()];

  const over = new AbortController();
  onTestFinished(() => {
    over.abort();
  });
  const failures: string[] = [];
  const sent: string[] = [];
  const balancer = (async () => {
    while (!over.signal.aborted) {
      for (const node of nodes) node.isReady = await ready(node.address);
      await systemClock.sleep(LOOK_MS);
    }
  })();
  const client = (async () => {
    for (let i = 0; !over.signal.aborted; i++) {
      const candidates = nodes.filter(({ isReady }) => isReady);
      const node = candidates[i % candidates.length];
      if (node === undefined) {
        failures.push(`request ${i}: no node is ready`);
        await systemClock.sleep(LOOK_MS);
        continue;
      }
      const id = `event-${i}`;
      const change = { op: 'add', path: `packages/${id}`, length: 1, hashes: { sha256: sha256Hex(id) } };
      const answer = await fetch(`${node.address}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(i % 3 === 0 ? { prefer: 'wait=20' } : {}) },
        body: JSON.stringify({ events: [{ id, changes: [change] }] }),
      }).catch((error: unknown) => String(error));
      if (typeof answer === 'string') failures.push(`request ${i}: ${answer}`);
      else if (!answer.ok) failures.push(`request ${i}: ${answer.status} ${await answer.text()}`);
      else {
        await answer.arrayBuffer();
        sent.push(id);
      }
    }
  })();

  for (const [index, node] of [...nodes.entries()]) {
    const before = sent.length;
    await eventually('requests are answered', () => sent.length > before + 20);
    node.service.signal('SIGTERM');
    const { how, stderr } = await node.service.ended;
    expect(how).toBe(0);
    expect(stderr).toContain('"msg":"stopped"');
    nodes[index] = await start();
  }
  const before = sent.length;
  await eventually('requests are answered', () => sent.length > before + 20);
  over.abort();
  await Promise.all([balancer, client]);
  expect(failures).toEqual([]);

  const [node] = nodes;
  await eventually('every answered event is published', async () => {
    for (const id of sent) {
      const answer = await fetch(`${node?.address ?? ''}/v1/events/${id}`);
      if (((await answer.json()) as { state?: string }).state !== 'published') return false;
    }
    return true;
  });
  for (const { service } of nodes) {
    service.signal('SIGTERM');
    expect((await service.ended).how).toBe(0);
  }
  const { how, stdout } = await runCommand(directory, ['fsck']);
  expect(how, stdout).toBe(0);
}, 120_000);
