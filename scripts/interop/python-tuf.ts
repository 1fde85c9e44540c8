// python-tuf against a served repository.
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { text } from 'node:stream/consumers';
import { systemClock } from '../../src/lib/clock.ts';
import { inCheckout } from './checkout.ts';
import { Installation, makeUploads, type Service, type Upload } from './installation.ts';
import { closed, run, start } from './run.ts';

const CLIENT = inCheckout('test/interop/python_tuf_client.py');

const DOWNLOADS = 20;

interface Place {
  readonly python: string;
  readonly folder: string;
}

function clientArguments({ root }: Installation, { url }: Service, state: string): string[] {
  return ['--url', url, '--root', root, '--state', state];
}

/** Refresh, a look-up of every upload, downloads, absent files; what was seen in one line. */
export async function checkLookups(
  { python }: Pick<Place, 'python'>,
  installation: Installation,
  service: Service,
  uploads: readonly Upload[],
): Promise<string> {
  const targets = path.join(installation.folder, 'expected.json');
  await writeFile(targets, JSON.stringify(uploads));
  const state = path.join(installation.folder, 'client');
  const answer = await run(python, [
    CLIENT,
    'check',
    ...clientArguments(installation, service, state),
    '--targets',
    targets,
    '--downloads',
    String(DOWNLOADS),
  ]);
  const { refreshSeconds, lookupSeconds, found, downloaded } = JSON.parse(answer) as Record<string, number>;
  return `python-tuf: refresh ${refreshSeconds} s, ${found} found and ${downloaded} downloaded in ${lookupSeconds} s`;
}

/** Bins live ten minutes here: half of that after they were signed, all of them are due. */
const BIN_LIFETIME = '10m';
const SIGNED_AGO_MS = 360_000;
const LOAD_MS = 40_000;
const CLIENTS = 2;

/** Every bin is due for renewal, uploads arrive, and clients update without a pause. */
export async function renewalUnderLoad(place: Place, bins: number): Promise<string> {
  const folder = path.join(place.folder, `renewal-${bins}`);
  const installation = await Installation.foundEarlier(folder, bins, SIGNED_AGO_MS);
  const service = await installation.serve({ COUNTERSIGN_LIFETIMES_BIN: BIN_LIFETIME });
  try {
    const watchers = Array.from({ length: CLIENTS }, (_, index) => {
      const state = path.join(folder, `client-${index}`);
      const child = start(place.python, [CLIENT, 'watch', ...clientArguments(installation, service, state)]);
      // A client that fails early closes its input; its status and message tell.
      child.stdin?.on('error', () => undefined);
      const said = Promise.all([
        text(child.stdout as NodeJS.ReadableStream),
        text(child.stderr as NodeJS.ReadableStream),
        closed(child),
      ]);
      return { child, said };
    });
    const until = systemClock.now() + LOAD_MS;
    let mostDue = 0;
    for (let round = 0; systemClock.now() < until; round++) {
      const uploads = makeUploads(3, `2.${round}`);
      await service.publish(uploads);
      for (const { child } of watchers) child.stdin?.write(`${lines(uploads)}\n`);
      mostDue = Math.max(mostDue, (await service.status()).publisher.renewalsDue);
    }
    const results: Record<string, number>[] = [];
    for (const { child, said } of watchers) {
      child.stdin?.end();
      const [stdout, stderr, [code]] = await said;
      if (code !== 0) throw new Error(`a client ended with ${String(code)}: ${stderr.trim().slice(-1000)}`);
      results.push(JSON.parse(stdout) as Record<string, number>);
    }
    await installation.fsck();
    if (mostDue < bins / 2) throw new Error(`only ${mostDue} of ${bins} bins were due at the same time`);
    const [first] = results;
    const refreshes = results.reduce((sum, result) => sum + (result['refreshes'] ?? 0), 0);
    const seen = `snapshot ${first?.['snapshot']}, ${first?.['published']} uploads, ${first?.['binsChanged']} bins renewed`;
    return `${refreshes} refreshes by ${CLIENTS} clients up to ${seen}; no version back, nothing vanished`;
  } finally {
    await service.stop();
  }
}

function lines(uploads: readonly Upload[]): string {
  return uploads
    .map(({ path: target, length, sha256 }) => JSON.stringify({ path: target, length, sha256 }))
    .join('\n');
}
