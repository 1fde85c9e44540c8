// Takes away what nothing public has named for the length of the grace. Every object is looked up once more before: what
// is named again stays, whatever the journal says.
import { mapConcurrent } from '../../lib/concurrency.ts';
import { TIMESTAMP_NAME } from '../../tuf/layout.ts';
import type { LargeObjects } from '../../storage/large-objects.ts';
import type { ObjectStore } from '../../storage/store.ts';
import { MAX_VISITED_ROLES } from '../delegation-search.ts';
import type { SnapshotFile } from '../roles/snapshot-file.ts';
import type { TargetsFile } from '../roles/targets-file.ts';
import type { HeldRole, MirrorJournal } from '../../storage/mirror-journal.ts';
import { parseMetadataObject, parseTargetObject } from './object-names.ts';
import type { Selection } from './selection.ts';
import { readHeld } from './take-role.ts';

/** Objects looked up and removed between two looks at the journal. */
const PORTION = 1024;
const REMOVALS_IN_FLIGHT = 16;
/** Roles whose files are kept between two look-ups. */
const REMEMBERED_ROLES = 64;

export interface RemovalPorts {
  readonly store: ObjectStore;
  readonly files: LargeObjects | undefined;
  readonly journal: MirrorJournal;
  readonly held: ReadonlyMap<string, HeldRole>;
  readonly selection: Selection;
  readonly signal: AbortSignal;
}

export interface RemovalReport {
  readonly metadata: number;
  readonly targets: number;
}

/** Removes what was superseded before `before`, milliseconds since the epoch; `snapshot` is what the mirror shows. */
export async function removeSuperseded(
  ports: RemovalPorts,
  snapshot: SnapshotFile,
  before: number,
  now: number,
): Promise<RemovalReport> {
  const { store, files, journal, held } = ports;
  const named = new NamedTargets(ports, now);
  const report = { metadata: 0, targets: 0 };
  const isNeeded = (name: string): Promise<boolean> => {
    const role = parseMetadataObject(name);
    if (role !== undefined) return Promise.resolve(isReached(snapshot, held, role.role, role.version));
    const target = parseTargetObject(name);
    return target === undefined ? Promise.resolve(true) : named.has(target.path, target.hash);
  };
  const take = async (name: string): Promise<void> => {
    if (name === TIMESTAMP_NAME || (await isNeeded(name))) return;
    if (parseTargetObject(name) === undefined) {
      await store.remove(name);
      report.metadata += 1;
    } else if (files !== undefined) {
      await files.remove(name);
      report.targets += 1;
    }
  };
  while (!ports.signal.aborted) {
    const due = journal.due(before, PORTION);
    if (due.length === 0) break;
    const [snapshots, others] = [due.filter(isSnapshot), due.filter((name) => !isSnapshot(name))];
    // A snapshot that an interrupted removal leaves behind still has all of its roles.
    await mapConcurrent(snapshots, REMOVALS_IN_FLIGHT, take);
    await mapConcurrent(others, REMOVALS_IN_FLIGHT, take);
    journal.record([{ needed: due }]);
  }
  return report;
}

function isSnapshot(name: string): boolean {
  return parseMetadataObject(name)?.role === 'snapshot';
}

/** A name never leaves the snapshot (TUF 5.5.5), also when no delegation leads to the role any more: it is not held then. */
function isReached(
  snapshot: SnapshotFile,
  held: ReadonlyMap<string, HeldRole>,
  role: string,
  version: number,
): boolean {
  if (role === 'root') return true;
  if (role === 'snapshot') return version === snapshot.version;
  return held.get(role)?.version === version;
}

/** Which target files the roles in the mirror name now. */
class NamedTargets {
  readonly #ports: RemovalPorts;
  readonly #now: number;
  readonly #files = new Map<string, Promise<TargetsFile | undefined>>();

  constructor(ports: RemovalPorts, now: number) {
    this.#ports = ports;
    this.#now = now;
  }

  /** True also when it cannot be told: a file too many harms nobody. */
  async has(path: string, hash: string): Promise<boolean> {
    const pending = ['targets'];
    for (let visited = 0; visited <= MAX_VISITED_ROLES; visited++) {
      const role = pending.shift();
      if (role === undefined) return false;
      const file = await this.#read(role);
      if (file === undefined) return true;
      const target = file.target(path);
      const isIt = target !== undefined && [...target.hashes.values()].includes(hash);
      if (isIt && this.#ports.selection.wants(target, this.#now)) return true;
      pending.push(...file.delegations(path).map((delegation) => delegation.role));
    }
    return true;
  }

  #read(role: string): Promise<TargetsFile | undefined> {
    const known = this.#files.get(role);
    if (known !== undefined) return known;
    const held = this.#ports.held.get(role);
    const reading = held === undefined ? Promise.resolve(undefined) : readHeld(this.#ports, role, held);
    const [oldest] = this.#files.keys();
    if (this.#files.size >= REMEMBERED_ROLES && oldest !== undefined) this.#files.delete(oldest);
    this.#files.set(role, reading);
    return reading;
  }
}
