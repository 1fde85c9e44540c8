// A mirror as a service beside the real one: it follows the stream, answers Prometheus, and stays as it is when upstream
// lies. The interval is an hour: only the stream can have told it.
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { rehearse, runCommand, startCommand, startService } from '../support/service-process.ts';
import { serveRepository } from '../support/repository-server.ts';
import { tempDir } from '../support/temp-dir.ts';

test(
  'mirror --watch follows the stream of the index, and tells Prometheus',
  { timeout: 180_000 },
  async () => {
    const index = path.join(await tempDir(), 'index');
    await rehearse(index, 4);
    expect((await runCommand(index, ['bootstrap', 'bundle.json'])).how).toBe(0);
    const service = startService(index);
    const url = await service.address;
    const publish = async (name: string): Promise<void> => {
      await mkdir(path.join(index, 'files/p'), { recursive: true });
      await writeFile(path.join(index, 'files/p', name), name);
      const published = await runCommand(index, [
        'publish',
        '--url',
        url,
        '--add',
        `p/${name}=files/p/${name}`,
      ]);
      expect(published).toMatchObject({ how: 0 });
    };

    // A way to the index on which its timestamp can be exchanged.
    let lies = false;
    const way = await serveRepository({
      get: async (name) => {
        const response = await fetch(`${url}/${name}`);
        if (!response.ok) return undefined;
        const bytes = Buffer.from(await response.arrayBuffer());
        const last = bytes.length - 10;
        if (lies && name.endsWith('timestamp.json')) bytes[last] = (bytes[last] ?? 0) ^ 1;
        return { bytes };
      },
    });
    const mirror = startCommand(index, [
      ...['mirror', '--metadata-url', `${way.url}/metadata`, '--root', 'root.json', '--to', 'mirror'],
      ...['--targets', '--target-base-url', `${way.url}/targets`, '--watch', '--interval', '1h'],
      ...['--stream', `${url}/v1/stream`, '--metrics', '127.0.0.1:0', '--metrics-file', 'mirror.prom'],
    ]);
    const [, metricsUrl = ''] = await mirror.says(/metrics are at (http:\S+)/);
    await mirror.says(/shows snapshot 1, timestamp 1: 6 roles taken/);
    await publish('one.txt');
    await mirror.says(/shows snapshot 2, timestamp 2: 1 roles taken, 1 target files stored \(7 bytes\)/);

    lies = true;
    await publish('two.txt');
    await mirror.says(/countersign: (signature-invalid|metadata-invalid): .*; the mirror stays as it is/);
    lies = false;
    // Tried again by itself, in seconds.
    await mirror.says(/shows snapshot 3, timestamp 3: 1 roles taken, 1 target files stored/);

    const text = await (await fetch(metricsUrl)).text();
    const metric = (name: string): number => {
      const line = text.split('\n').find((each) => each.startsWith(`countersign_mirror_${name} `));
      return Number(line?.split(' ')[1]);
    };
    expect(metric('snapshot_version')).toBe(3);
    expect(metric('syncs_total{result="ok"}')).toBe(3);
    expect(text).toMatch(/countersign_mirror_syncs_total\{result="(signature|metadata)-invalid"\} 1\n/);
    expect(metric('roles_taken_total')).toBe(8);
    expect(metric('targets_stored_total')).toBe(2);
    expect(metric('missing_targets')).toBe(0);
    expect(metric('upstream_retention_seconds')).toBe(86_400);
    expect(metric('upstream_requests_total{kind="target"}')).toBe(2);
    expect(metric('upstream_bytes_total{kind="target"}')).toBe(14);
    const now = Date.now() / 1000;
    expect(metric('last_success_timestamp_seconds')).toBeGreaterThan(now - 120);
    expect(metric('expiry_timestamp_seconds')).toBeGreaterThan(now + 80_000);
    expect((await fetch(metricsUrl.replace('/metrics', '/'))).status).toBe(404);

    mirror.signal('SIGTERM');
    expect(await mirror.ended).toMatchObject({ how: 0 });
    const verify = ['mirror', 'verify', 'mirror', '--root', 'root.json', '--complete'];
    expect(await runCommand(index, verify)).toMatchObject({
      how: 0,
      stdout: 'sound: snapshot 3, 6 roles, 2 target files named, 2 there, 0 not there\n',
    });
  },
);
