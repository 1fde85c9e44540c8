// What the ceremony says about P-384, asked of the clients themselves: who reads a root that such a key has signed.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { clientsThatCannotRead } from '../../keys-ceremony/client-support.ts';
import { CLIENTS } from '../../scripts/interop/clients.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { parseBundle } from '../../src/tuf/bundle.ts';
import { heldSigner, ONE_TIME_BINS } from '../support/ceremony-people.ts';
import { NOW } from '../support/genesis-repository.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { foundRepository } from '../support/repository.ts';
import { serveStore } from '../support/store-server.ts';
import { unusualBundle } from '../support/unusual-key.ts';

const clients = await Promise.all(
  CLIENTS.map(async (kind) => ({ kind, component: await kind.install(), name: kind.name })),
);

/** As the rules of the ceremony name a client. */
function ruleName(name: string): string {
  return name.startsWith('tuftool') ? 'tough' : (name.split(' ')[0] ?? name);
}

describe.each(clients)('$name $component.reason', ({ kind, component: { program } }) => {
  test.skipIf(program === undefined)('a root that P-384 has signed', { timeout: 300_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'countersign-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const [format = 'succinct'] = kind.formats;
    const day = Math.floor((systemClock.now() - NOW) / 86_400_000);
    const bins = ONE_TIME_BINS.replace('succinct', format);
    const bundleBytes = await unusualBundle(join(folder, 'ceremony'), { day, bins });
    const held = { bundleBytes, signer: await heldSigner('online-1') };
    const repository = await foundRepository({ bins: 4, clock: new ManualClock(systemClock.now()), held });
    const url = await serveStore(repository.store);
    const rootFile = join(folder, 'root.json');
    await writeFile(rootFile, repository.rootBytes);
    const attempt = kind
      .open(program ?? '', {
        rootFile,
        metadataUrl: `${url}/metadata`,
        targetsUrl: `${url}/targets`,
        directory: join(folder, 'client'),
      })
      .then((client) => client.refresh());
    const keys = [...(parseBundle(bundleBytes).roots[0]?.signed.keys.values() ?? [])];
    const lost = keys.flatMap((key) => clientsThatCannotRead(key));
    expect(lost).not.toEqual([]);
    // The rule speaks of the oldest version that is in use: tuf-js learned it with 6.
    const isLost = lost.includes(ruleName(kind.name)) && !/^tuf-js [6-9]/.test(kind.name);
    if (isLost) await expect(attempt).rejects.toThrow();
    else expect(await attempt).toMatchObject({ root: 1 });
  });
});
