// Two real processes on one ledger and one store: one publishes, the other takes over when the first is stopped by the
// operating system, and the first comes back without harm.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { eventually } from '../support/publisher-process.ts';
import { rehearse, runCommand, startService } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

async function publisherRole(address: string): Promise<string> {
  const answer = await fetch(`${address}/v1/status`);
  const { publisher } = (await answer.json()) as { publisher: { role: string } };
  return publisher.role;
}

async function publish(address: string, id: string): Promise<void> {
  const change = {
    op: 'add',
    path: `packages/${sha256Hex(id)}`,
    length: 1,
    hashes: { sha256: sha256Hex(id) },
  };
  const answer = await fetch(`${address}/v1/events`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', prefer: 'wait=20' },
    body: JSON.stringify({ events: [{ id, changes: [change] }] }),
  });
  expect(answer.status).toBe(200);
  const { events } = (await answer.json()) as { events: { state: string }[] };
  expect(events).toMatchObject([{ state: 'published' }]);
}

test('a stopped process is replaced, and stands by when it comes back', async () => {
  const directory = join(await tempDir(), 'installation');
  await rehearse(directory, 16);
  expect((await runCommand(directory, ['bootstrap', 'bundle.json'])).how).toBe(0);
  const first = startService(directory);
  const one = await first.address;
  await eventually('the first publishes', async () => (await publisherRole(one)) === 'publishing');
  const second = startService(directory);
  const two = await second.address;
  await eventually('the second stands by', async () => (await publisherRole(two)) === 'standby');
  await publish(two, 'published-by-the-other');
  first.signal('SIGSTOP');
  await eventually('the second takes over', async () => (await publisherRole(two)) === 'publishing');
  await publish(two, 'published-by-the-second');
  first.signal('SIGCONT');
  await eventually('the first stands by', async () => (await publisherRole(one)) === 'standby');
  await publish(one, 'accepted-by-the-first');
  second.signal('SIGTERM');
  const { stderr } = await second.ended;
  expect(stderr).toContain('standing by');
  await eventually('the first publishes again', async () => (await publisherRole(one)) === 'publishing');
  await publish(one, 'published-by-the-first');
  first.signal('SIGTERM');
  expect((await first.ended).how).toBe(0);
  const { how, stdout } = await runCommand(directory, ['fsck', '--json']);
  expect(how, stdout).toBe(0);
}, 90_000);
