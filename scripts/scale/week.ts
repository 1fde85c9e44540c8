// A week in the life of a repository, in simulated time and with nothing else simulated: the publisher's own code renews,
// signs, writes and collects garbage, on a ledger and a store of files. It is looked at twice a minute.
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import process from 'node:process';
import type { Clock } from '../../src/lib/clock.ts';
import { silentLogger } from '../../src/lib/log.ts';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { AlteredBins } from '../../src/publish/altered-bins.ts';
import { takeLease } from '../../src/publish/lease.ts';
import { collectGarbage, type RetentionReport } from '../../src/publish/retention.ts';
import { Term } from '../../src/publish/term.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import type { ObjectStore } from '../../src/storage/store.ts';
import { parseExpires } from '../../src/tuf/lifetimes.ts';

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** Milliseconds between two looks of the publisher. */
const STEP_MS = 30 * SECOND_MS;

/** Milliseconds between two collections of garbage: rarer than the service's, which looks every hour. */
const COLLECT_MS = 12 * HOUR_MS;

/** What Linux says of a file system in memory (statfs(2): TMPFS_MAGIC). */
const TMPFS = 0x01021994;

/** Publications before the first whole cycle are not what every day is like. */
const SETTLED_AFTER_MS = DAY_MS;

export interface Week {
  readonly days: number;
  readonly bins: number;
  /** Smallest share of its lifetime that any bin had left at any look. */
  readonly leastLeft: number;
  /** By minute, from the second day on: signatures made, bytes written. */
  readonly signatures: readonly number[];
  readonly bytes: readonly number[];
  readonly collected: { readonly runs: number; readonly removed: number; readonly removedBytes: number };
  /** Everything that the week has left behind, collected at once. */
  readonly gc: GcFigures;
  /** Seconds of real time. */
  readonly seconds: number;
  /** Whether its files were in memory, and no disk was waited for. */
  readonly inMemory?: boolean;
}

export interface GcFigures {
  readonly kept: number;
  readonly removed: number;
  readonly seconds: number;
  /** By which the process has grown, in MB. */
  readonly grownMb: number;
}

/** Lives through `days` in the installation `folder`, from now on. */
export async function liveThrough(
  folder: string,
  days: number,
  progress: (hour: number) => void,
): Promise<Week> {
  const begun = performance.now();
  const clock = new StepClock();
  const ledger = await openSqliteLedger(join(folder, 'ledger.db'));
  const passphrase = (await fs.readFile(join(folder, 'online.passphrase'), 'utf8')).trim();
  const signer = await openFileSigner({ path: join(folder, 'online.key'), passphrase });
  const written = { bytes: 0 };
  const store = counting(await openFileStore(join(folder, 'repository')), written);
  const head = await ledger.head();
  if (head === undefined) throw new Error(`there is no repository in ${folder}`);
  clock.time = head.at + SECOND_MS;
  const holder = { holder: `week:${process.pid}`, isGone: () => true };
  const settings = {
    maxEvents: 10_000,
    minIntervalMs: 0,
    lifetimes: { timestampMs: DAY_MS, snapshotMs: DAY_MS, binMs: DAY_MS },
  };
  const ports = {
    ledger,
    history: ledger,
    store,
    signer,
    clock,
    settings,
    altered: new AlteredBins(),
    log: silentLogger(),
  };
  const term = await Term.begin(ports, await takeLease(ledger, clock, holder));
  const expires = Float64Array.from(await ledger.bins(), (bin) => bin.expires);
  const minutes = days * 24 * 60;
  const signatures = new Array<number>(minutes).fill(0);
  const bytes = new Array<number>(minutes).fill(0);
  const collected = { runs: 0, removed: 0, removedBytes: 0 };
  let leastLeft = 1;
  const from = clock.time;
  for (; clock.time < from + days * DAY_MS; clock.time += STEP_MS) {
    const minute = Math.floor((clock.time - from) / MINUTE_MS);
    for (let report = await term.publish(); report !== undefined; report = await term.publish()) {
      const { intent } = report.plan;
      for (const { bin } of intent.bins) expires[bin] = parseExpires(intent.expires.bin);
      // Snapshot and timestamp are signed too.
      signatures[minute] = (signatures[minute] ?? 0) + intent.bins.length + 2;
    }
    bytes[minute] = (bytes[minute] ?? 0) + written.bytes;
    written.bytes = 0;
    const earliest = expires.reduce((least, each) => Math.min(least, each), Number.POSITIVE_INFINITY);
    leastLeft = Math.min(leastLeft, (earliest - clock.time) / DAY_MS);
    if ((clock.time - from) % COLLECT_MS === 0) {
      await takeLease(ledger, clock, holder);
      const { removed, removedBytes } = await collectGarbage({
        ...ports,
        snapshotsMs: DAY_MS,
        eventsMs: DAY_MS,
      });
      collected.runs += 1;
      collected.removed += removed;
      collected.removedBytes += removedBytes;
      progress(Math.round((clock.time - from) / HOUR_MS));
    }
  }
  const gc = await collectWeek(join(folder, 'repository', 'metadata'), () =>
    collectGarbage({ ...ports, snapshotsMs: DAY_MS, eventsMs: DAY_MS }),
  );
  await signer.close();
  await ledger.close();
  const settled = SETTLED_AFTER_MS / MINUTE_MS;
  return {
    days,
    bins: expires.length,
    leastLeft,
    signatures: signatures.slice(settled),
    bytes: bytes.slice(settled),
    collected,
    gc,
    seconds: (performance.now() - begun) / 1000,
    inMemory: (await fs.statfs(folder)).type === TMPFS,
  };
}

/** Puts back the names that were collected hour by hour (as links, which take no space), and collects them at once. */
async function collectWeek(metadata: string, collect: () => Promise<RetentionReport>): Promise<GcFigures> {
  for (const name of await fs.readdir(metadata)) {
    const [, version, role] = /^([0-9]+)\.((?:snapshot|bin-).*)$/.exec(name) ?? [];
    if (version === undefined) continue;
    for (let older = Number(version) - 1; older > 0; older--) {
      const made = await fs.link(join(metadata, name), join(metadata, `${older}.${role}`)).then(
        () => true,
        () => false,
      );
      // One that exists has its own predecessors.
      if (!made) break;
    }
  }
  const before = process.memoryUsage.rss();
  const begun = performance.now();
  const { kept, removed } = await collect();
  const seconds = (performance.now() - begun) / 1000;
  return { kept, removed, seconds, grownMb: Math.max(0, process.memoryUsage.rss() - before) / 1e6 };
}

class StepClock implements Clock {
  time = 0;

  now(): number {
    return this.time;
  }

  sleep(): Promise<void> {
    return Promise.resolve();
  }
}

/** The same store, and how many bytes it was given to write. */
function counting(store: ObjectStore, written: { bytes: number }): ObjectStore {
  return {
    get: (name, maxBytes) => store.get(name, maxBytes),
    list: (prefix) => store.list(prefix),
    remove: (name) => store.remove(name),
    stage: async (name, bytes) => store.stage?.(name, bytes),
    putImmutable: (name, bytes) => {
      written.bytes += bytes.length;
      return store.putImmutable(name, bytes);
    },
    replace: (name, bytes, token) => {
      written.bytes += bytes.length;
      return store.replace(name, bytes, token);
    },
  };
}
