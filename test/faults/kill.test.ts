// kill -9 at any moment, of the real program with rendered pages, under load, over and over. What was answered is kept, what was published
// stays as it is, the repository is whole at every moment, and the next start needs nobody's help.
import { appendFile, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { expectSound } from '../support/oracle.ts';
import { publicState } from '../support/public-state.ts';
import { eventually } from '../support/publisher-process.ts';
import { rehearse, runCommand, startService, type ServiceProcess } from '../support/service-process.ts';
import { tempDir } from '../support/temp-dir.ts';

const SLOW = process.env['SLOW'] === '1';
const KILLS = SLOW ? 200 : 6;
const CLIENTS = 6;
const BINS = 64;
/** So many that a publication leaves its bins to threads. */
const FILES_IN_EVENT = 12;

/** KILL_SEED repeats the moments of an earlier run; what the processes make of them differs. */
const SEED = Number(process.env['KILL_SEED'] ?? systemClock.now() % 1_000_000);

/** Park and Miller's generator: 0 <= r < 1. */
function generator(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return (state - 1) / 2_147_483_646;
  };
}

interface Sent {
  readonly id: string;
  readonly paths: readonly string[];
  readonly sha256: string;
}

/** Clients that post events until they are told to stop, each sending an event again until it is answered. */
class Load {
  readonly answered: Sent[] = [];
  requests = 0;
  #address: string | undefined;
  #running = true;
  readonly #clients: Promise<void>[];

  constructor() {
    this.#clients = Array.from({ length: CLIENTS }, (_, client) => this.#run(client));
  }

  set address(address: string | undefined) {
    this.#address = address;
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#clients);
  }

  async #run(client: number): Promise<void> {
    for (let i = 0; this.#isRunning(); i++) {
      const id = `client-${client}-${i}`;
      const names = Array.from({ length: FILES_IN_EVENT - 1 }, (_, n) => `${n}.whl`);
      // One that a page lists: each client has a project of its own, and uploads a release of it.
      const release = `project_${client}-0.${i}-py3-none-any.whl`;
      const paths = [...names, release].map((name) => `packages/${id}/${name}`);
      const sent = { id, paths, sha256: sha256Hex(id) };
      while (!(await this.#post(sent, client % 2 === 0))) {
        if (!this.#isRunning()) return;
        await systemClock.sleep(5);
      }
    }
  }

  #isRunning(): boolean {
    return this.#running;
  }

  async #post(sent: Sent, wait: boolean): Promise<boolean> {
    const address = this.#address;
    if (address === undefined) return false;
    this.requests += 1;
    const target = { length: sent.id.length, hashes: { sha256: sent.sha256 } };
    const changes = sent.paths.map((path) => ({ op: 'add', path, ...target }));
    try {
      const answer = await fetch(`${address}/v1/events`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...(wait ? { prefer: 'wait=10' } : {}) },
        body: JSON.stringify({ events: [{ id: sent.id, changes }] }),
      });
      await answer.text();
      if (answer.status >= 500) return false;
      if (answer.status !== 200 && answer.status !== 202) throw new Error(`answer ${answer.status}`);
      this.answered.push(sent);
      return true;
    } catch (error) {
      if (error instanceof TypeError) return false; // The connection broke: nobody knows what became of the event.
      throw error;
    }
  }
}

/** Everything that was ever seen in the directory of metadata. */
class Seen {
  readonly #hashes = new Map<string, string>();

  get size(): number {
    return this.#hashes.size;
  }

  async look(directory: string): Promise<void> {
    for (const file of await readdir(directory)) {
      if (!file.endsWith('.json')) continue;
      const bytes = await readFile(join(directory, file));
      const { signed } = JSON.parse(bytes.toString()) as { signed: { version: number } };
      const name = file === 'timestamp.json' ? `${signed.version}.timestamp.json` : file;
      const hash = sha256Hex(bytes);
      expect(this.#hashes.get(name) ?? hash, `${name} has had two contents`).toBe(hash);
      this.#hashes.set(name, hash);
    }
  }
}

/** What a client finds while no process is there to help. */
async function inspect(directory: string): Promise<Readonly<Record<string, string>>> {
  const ledger = await openSqliteLedger(join(directory, 'ledger.db'));
  try {
    const store = await openFileStore(join(directory, 'repository'));
    await expectSound({ store, clock: systemClock, renderedPages: true });
    const { targets } = await publicState(store, { history: ledger });
    return Object.fromEntries(Object.entries(targets).filter(([path]) => !path.startsWith('simple/')));
  } finally {
    await ledger.close();
  }
}

test(
  `${KILLS} kills under load`,
  async () => {
    const directory = join(await tempDir(), 'installation');
    const random = generator(SEED);
    const seen = new Seen();
    const begun = systemClock.now();
    await rehearse(directory, BINS);
    await appendFile(join(directory, 'countersign.yaml'), 'simple-index: render\n');
    expect((await runCommand(directory, ['bootstrap', 'bundle.json'])).how).toBe(0);
    const load = new Load();
    let afterStart = 0;
    let targets: Readonly<Record<string, string>> = {};
    for (let kill = 0; kill < KILLS; kill++) {
      const service = startService(directory);
      // One in eight is killed while it starts, which is when it recovers.
      if (random() < 1 / 8) {
        await systemClock.sleep(random() * 900);
      } else {
        load.address = await service.address;
        afterStart += 1;
        await systemClock.sleep(random() ** 2 * 700);
      }
      service.signal('SIGKILL');
      load.address = undefined;
      await service.ended;
      await seen.look(join(directory, 'repository', 'metadata'));
      const now = await inspect(directory);
      expect(now).toMatchObject(targets);
      targets = now;
    }
    const last = startService(directory);
    load.address = await last.address;
    await systemClock.sleep(200);
    await load.stop();
    await expectAllPublished(last, load.answered);
    last.signal('SIGTERM');
    const { how, stderr } = await last.ended;
    expect(how).toBe(0);
    // Threads have read and written what was published (src/publish/bin-threads.ts).
    expect(stderr).toMatch(/"bins":(?:[89]|[1-9]\d)\D.*"published"/);
    await seen.look(join(directory, 'repository', 'metadata'));
    targets = await inspect(directory);
    for (const { id, paths, sha256 } of load.answered) {
      for (const path of paths) expect(targets[path]).toBe(`${id.length} ${sha256}`);
    }
    await expectCleanFsck(directory);
    expect(afterStart).toBeGreaterThan(0);
    expect(load.answered.length).toBeGreaterThan(0);
    const seconds = Math.round((systemClock.now() - begun) / 1000);
    process.stdout.write(
      `seed ${SEED}: ${KILLS} kills (${KILLS - afterStart} while starting), ${load.requests} requests, ` +
        `${load.answered.length} events answered, 0 lost, ${seen.size} versions seen, ${seconds} s\n`,
    );
  },
  KILLS * 15_000,
);

async function expectAllPublished(service: ServiceProcess, sent: readonly Sent[]): Promise<void> {
  const address = await service.address;
  for (const { id } of sent) {
    for (;;) {
      const answer = await fetch(`${address}/v1/events/${id}`);
      const { state } = (await answer.json()) as { state?: string };
      if (state === 'published') break;
      expect(state, id).toBe('accepted');
      await systemClock.sleep(20);
    }
  }
}

async function expectCleanFsck(directory: string): Promise<void> {
  const { how, stdout } = await runCommand(directory, ['fsck', '--json']);
  expect(how, stdout).toBe(0);
}

test(
  'kills during bootstrap: the same command finishes it',
  async () => {
    const random = generator(SEED + 1);
    let resumed = 0;
    for (let round = 0; round < (SLOW ? 20 : 1); round++) {
      const directory = join(await tempDir(), 'installation');
      await rehearse(directory, 256);
      const seen = new Seen();
      const metadata = join(directory, 'repository', 'metadata');
      const files = async (): Promise<number> => (await readdir(metadata).catch(() => [])).length;
      // Ever later: among the ceremony's files, among the bins, near the end or behind it.
      for (const count of [1 + random() * 4, 5 + random() * 200, 200 + random() * 61]) {
        let over = false;
        const killWhen = eventually(`${count} files`, async () => over || (await files()) >= count);
        await runCommand(directory, ['bootstrap', 'bundle.json'], killWhen);
        over = true;
        await killWhen;
        await seen.look(metadata);
      }
      const { how, stdout } = await runCommand(directory, ['bootstrap', 'bundle.json', '--json']);
      // Finished before the last kill or not: it is done now, and says so.
      expect(how, stdout).toBe(0);
      if (stdout.includes('"resumed": true')) resumed += 1;
      await seen.look(metadata);
      expect(await inspect(directory)).toEqual({});
      await expectCleanFsck(directory);
      expect((await readdir(metadata)).filter((name) => name.endsWith('.json'))).toHaveLength(256 + 5);
    }
    process.stdout.write(`seed ${SEED}: ${resumed} interrupted bootstraps resumed\n`);
  },
  SLOW ? 600_000 : 60_000,
);
