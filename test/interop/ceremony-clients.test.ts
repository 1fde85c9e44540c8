// Every client that can be had follows the life of a repository's keys: after each ceremony, one that is as old as the
// repository and knows only root 1, and one that has followed all along.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { CLIENTS, type InteropClient } from '../../scripts/interop/clients.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { ROOT_AHEAD_MS } from '../../src/publish/import-desk.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { Term } from '../../src/publish/term.ts';
import { askedTargets } from '../../src/tuf/layout.ts';
import {
  heldSigner,
  holdCeremony,
  ONE_TIME_BINS,
  type Computer,
  type PlanOptions,
} from '../support/ceremony-people.ts';
import { NOW } from '../support/genesis-repository.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { foundRepository, publishPaths, targetOf, type TestRepository } from '../support/repository.ts';

const DAY_MS = 86_400_000;
const TODAY = Math.floor((systemClock.now() - NOW) / DAY_MS);

interface Held {
  readonly ceremony: string;
  readonly signers: readonly string[];
  readonly plan: PlanOptions;
  /** The online keys that the service has when it imports the result, the main one first. */
  readonly service?: readonly string[];
  readonly compromised?: true;
}

const FIVE = ['holder-1', 'holder-2', 'holder-4', 'holder-5', 'holder-6'];
const THREE_OF_FIVE = { holders: FIVE, root: '{ threshold: 3, expires-in: 365d }' };
const KEEP = { targets: 'keep', bins: 'keep' } as const;

/** After the genesis, in this order. */
const LIFE: readonly Held[] = [
  { ceremony: 'renewal', signers: ['holder-2', 'holder-3'], plan: {} },
  {
    ceremony: 'holder-replaced',
    signers: ['holder-1', 'holder-3', 'holder-4'],
    plan: { holders: ['holder-1', 'holder-2', 'holder-4'], ...KEEP },
  },
  {
    ceremony: 'threshold-raised',
    signers: ['holder-1', 'holder-2', 'holder-5'],
    plan: { ...THREE_OF_FIVE, ...KEEP },
  },
  {
    ceremony: 'both-online-keys',
    signers: FIVE.slice(0, 3),
    plan: { ...THREE_OF_FIVE, online: ['online-1', 'online-2'] },
    service: ['online-1', 'online-2'],
  },
  {
    ceremony: 'new-online-key',
    signers: FIVE.slice(2),
    plan: { ...THREE_OF_FIVE, online: ['online-2'] },
    service: ['online-1', 'online-2'],
  },
  {
    ceremony: 'stolen-online-key',
    signers: FIVE.slice(1, 4),
    plan: { ...THREE_OF_FIVE, online: ['online-3'] },
    service: ['online-3'],
    compromised: true,
  },
];

/** What the world sees after a ceremony: every object by its name, and who is to be found. */
interface Moment {
  readonly ceremony: string;
  readonly objects: ReadonlyMap<string, Uint8Array>;
  readonly root: number;
  /** A target path that was published after this ceremony, and one from before all of them. */
  readonly paths: readonly string[];
}

/** Holds all ceremonies and imports each of them into one repository, as the service does. */
async function live(folder: string, bins: string): Promise<Moment[]> {
  const first = ['holder-1', 'holder-2'];
  let office: Computer = await holdCeremony(join(folder, 'genesis'), 'genesis', first, { day: TODAY, bins });
  const repository = await foundRepository({
    bins: 4,
    clock: new ManualClock(systemClock.now()),
    held: { bundleBytes: await office.read('bundle.json'), signer: await heldSigner('online-1') },
  });
  const moments = [await momentOf(repository, 'genesis', 1)];
  for (const { ceremony, signers, plan, service = ['online-1'], compromised } of LIFE) {
    const options = { kind: 'update', day: TODAY, bins, ...plan } as const;
    const previous = await office.read('bundle.json');
    office = await holdCeremony(join(folder, ceremony), ceremony, signers, options, previous);
    const [signer, nextSigner] = await Promise.all(service.map(heldSigner));
    if (signer === undefined) throw new Error(`${ceremony} has no online key`);
    const { ports } = repository;
    const own = { ports: { ...ports, signer, ...(nextSigner === undefined ? {} : { nextSigner }) } };
    const bundle = (await office.read('bundle.json')).toString('utf8');
    await settle(repository, own, compromised === true ? 'import-compromised' : 'import', bundle);
    if (service.length === 2) await settle(repository, own, 'renew-all', '');
    moments.push(await momentOf({ ...repository, ...own }, ceremony, moments.length + 1));
  }
  return moments;
}

async function settle(
  { ledger, clock }: TestRepository,
  own: Pick<TestRepository, 'ports'>,
  kind: 'import' | 'import-compromised' | 'renew-all',
  content: string,
): Promise<void> {
  const order = await ledger.placeOrder(kind, content, clock.now());
  // One term: a new one would let the minute of a root that went ahead begin again.
  const { ports } = own;
  const term = await Term.begin(ports, await takeLease(ports.ledger, ports.clock, ports));
  while ((await term.publish()) !== undefined);
  clock.advance(ROOT_AHEAD_MS);
  while ((await term.publish()) !== undefined);
  expect(await ledger.orderState(order)).toMatchObject({ state: 'done' });
}

async function momentOf(repository: TestRepository, ceremony: string, root: number): Promise<Moment> {
  const path = `packages/${ceremony}/file-1.0.whl`;
  await publishPaths(repository, [path]);
  const { store } = repository;
  const objects = new Map<string, Uint8Array>();
  for (const name of store.names()) {
    const object = await store.get(name, 5_000_000);
    if (object !== undefined) objects.set(name, object.bytes);
  }
  return { ceremony, objects, root, paths: [path, 'packages/genesis/file-1.0.whl'] };
}

/** A web server that shows one moment after the other. The content of a target file is its path. */
async function serveMoments(): Promise<{ url: string; show: (moment: Moment) => void }> {
  let shown: Moment | undefined;
  const server = createServer((request, response) => {
    const name = decodeURIComponent((request.url ?? '/').slice(1));
    const target = name.startsWith('targets/')
      ? askedTargets(name.slice('targets/'.length)).find(
          ({ path, sha256 }) => targetOf(path).hashes.sha256 === sha256,
        )
      : undefined;
    const bytes = target?.path ?? shown?.objects.get(name);
    response.writeHead(bytes === undefined ? 404 : 200).end(bytes);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, show: (moment) => (shown = moment) };
}

const clients = await Promise.all(
  CLIENTS.map(async (kind) => ({ kind, component: await kind.install(), name: kind.name })),
);

describe.each(['succinct', 'prefixes'] as const)('%s', (format) => {
  const readers = clients.filter(({ kind }) => kind.formats.includes(format));
  const shared: { moments: Promise<Moment[]> | undefined; folder: string } = {
    moments: undefined,
    folder: '',
  };
  /** Held once for all clients, by the first test that runs: the helpers belong to a test. */
  const momentsOf = async (): Promise<Moment[]> => {
    if (shared.folder === '') shared.folder = await mkdtemp(join(tmpdir(), 'countersign-'));
    return (shared.moments ??= live(shared.folder, ONE_TIME_BINS.replace('succinct', format)));
  };
  afterAll(() => rm(shared.folder, { recursive: true, force: true }));

  describe.each(readers)('$name $component.reason', ({ kind, component: { program } }) => {
    test.skipIf(program === undefined)(
      'follows every ceremony from root 1',
      { timeout: 900_000 },
      async () => {
        const moments = await momentsOf();
        const { url, show } = await serveMoments();
        const rootFile = join(shared.folder, '1.root.json');
        await writeFile(rootFile, moments[0]?.objects.get('metadata/1.root.json') ?? '');
        const open = (name: string): Promise<InteropClient> =>
          kind.open(program ?? '', {
            rootFile,
            metadataUrl: `${url}/metadata`,
            targetsUrl: `${url}/targets`,
            directory: join(shared.folder, kind.name.replaceAll(' ', '-'), name),
          });
        const faithful = await open('faithful');
        for (const moment of moments) {
          const { ceremony, root, paths } = moment;
          show(moment);
          expect(await faithful.refresh(), ceremony).toMatchObject({ root });
          const late = await open(`late-${ceremony}`);
          for (const path of paths) {
            expect(await readFile(await late.download(path), 'utf8'), ceremony).toBe(path);
          }
          expect(await late.refresh(), ceremony).toMatchObject({ root });
        }
        expect(moments.at(-1)?.root).toBe(1 + LIFE.length);
      },
    );
  });
});
