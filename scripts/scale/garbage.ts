// Garbage of a million objects and more, collected at once: the bins of a former layout in as many versions as it takes, as
// links to files that are there, so that only their number is large.
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { mapConcurrent } from '../../src/lib/concurrency.ts';
import { collectGarbage } from '../../src/publish/retention.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import type { BinLayout } from '../../src/tuf/bins.ts';

const DAY_MS = 86_400_000;
const LINKS_IN_FLIGHT = 16;
const LOOK_MS = 100;

export interface GarbageFigures {
  readonly objects: number;
  readonly removed: number;
  readonly seconds: number;
  /** By which the process grew at most, in MB. */
  readonly grownMb: number;
}

/** `folder`: an installation whose bins were those of `former`, and are others now. Collects `objects` at once. */
export async function collectMany(
  folder: string,
  former: BinLayout,
  objects: number,
): Promise<GarbageFigures> {
  const metadata = join(folder, 'repository', 'metadata');
  const source = (await fs.readdir(metadata)).find((name) => /^[0-9]+\.bin/.test(name));
  if (source === undefined) throw new Error(`${metadata} has no bins`);
  const roles = former.bins.map((bin) => `${former.name(bin)}.json`);
  const versions = Math.ceil(objects / roles.length);
  // Each name's first version is a copy: a file has 65,000 links at most.
  const made = await mapConcurrent(roles, LINKS_IN_FLIGHT, async (role) => {
    const first = join(metadata, `1000001.${role}`);
    await fs.copyFile(join(metadata, source), first);
    for (let version = 2; version <= versions; version++) {
      await fs.link(first, join(metadata, `${1_000_000 + version}.${role}`));
    }
    return versions;
  });
  const ledger = await openSqliteLedger(join(folder, 'ledger.db'));
  try {
    const store = await openFileStore(join(folder, 'repository'));
    // All of it is older than anything that was promised.
    const head = await ledger.head();
    const now = (head?.at ?? 0) + 30 * DAY_MS;
    const clock = { now: () => now, sleep: () => Promise.resolve() };
    const before = process.memoryUsage.rss();
    let most = before;
    const looking = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), LOOK_MS);
    const begun = performance.now();
    const { removed } = await collectGarbage({
      history: ledger,
      store,
      clock,
      snapshotsMs: DAY_MS,
      eventsMs: 60 * DAY_MS,
    });
    const seconds = (performance.now() - begun) / 1000;
    clearInterval(looking);
    const expected = made.reduce((sum, each) => sum + each, 0);
    if (removed < expected) throw new Error(`${removed} objects were removed, ${expected} were garbage`);
    return { objects: expected, removed, seconds, grownMb: (most - before) / 1e6 };
  } finally {
    await ledger.close();
  }
}
