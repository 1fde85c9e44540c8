// A mirror: one sync after the other. A sync updates what is trusted with the client's own workflow, takes what has
// changed since what is held, and shows it when all of it is there. At every moment, whatever ends the process, the
// mirror shows one consistent snapshot.
//
// Next: ./round.ts, ./take-role.ts, ./take-targets.ts, ./publication.ts, ./removal.ts
import type { Clock } from '../../lib/clock.ts';
import { Lanes } from '../../lib/concurrency.ts';
import { CountersignError } from '../../lib/errors.ts';
import type { LargeObjects } from '../../storage/large-objects.ts';
import type { ObjectStore } from '../../storage/store.ts';
import { versionedName } from '../../tuf/layout.ts';
import { Updater } from '../updater.ts';
import { checkNotEnded } from './ended.ts';
import type { HeldRole, MirrorJournal } from '../../storage/mirror-journal.ts';
import { Presence } from './presence.ts';
import { publish, shownFiles, type RootBytes } from './publication.ts';
import { removeSuperseded, type RemovalReport } from './removal.ts';
import type { RootArchive } from './root-archive.ts';
import { takeRound, type Round } from './round.ts';
import type { Selection } from './selection.ts';
import type { TargetProblem } from './take-targets.ts';
import { readTrustedState, type TrustedState } from './trusted-state.ts';
import { upstreamRetention } from './upstream-retention.ts';
import type { Upstream } from './upstream.ts';

/** Milliseconds after which a process that goes on looks at its own store again. */
const PRESENCE_MS = 3_600_000;

/** Rounds in a row that took nothing although upstream had another snapshot each time: nothing ever would be. */
const MAX_IDLE_ROUNDS = 5;

/** Milliseconds that a round is given at least, whatever upstream promises: the promise is not signed. */
const SHORTEST_ROUND_MS = 60_000;

export interface MirrorObserver {
  /** Roles looked at in this level, and how many there are. */
  progress(done: number, total: number): void;
  /** A target file was stored. */
  stored(bytes: number): void;
  /** For people. */
  warn(message: string): void;
}

export interface MirrorPorts {
  readonly store: ObjectStore;
  /** Absent: metadata only. */
  readonly files: LargeObjects | undefined;
  readonly journal: MirrorJournal;
  readonly archive: RootArchive;
  readonly upstream: Upstream;
  readonly clock: Clock;
  readonly observe: MirrorObserver;
  /** The operator's root. */
  readonly rootBytes: Uint8Array;
  readonly selection: Selection;
  /** Roles, and target files, in hand at once. */
  readonly jobs: number;
  /**
   * Promises the mirrors behind this one how long superseded objects stay, and answers for how long they must,
   * milliseconds.
   */
  readonly promise: (now: number) => Promise<number>;
  /** Shows a snapshot although selected target files could not be had. */
  readonly publishIncomplete: boolean;
  /** Ends the sync in hand: what was taken stays taken, nothing is shown. */
  readonly signal: AbortSignal;
}

export interface SyncReport {
  readonly snapshot: number;
  readonly timestamp: number;
  /** Milliseconds since the epoch at which the timestamp expires. */
  readonly expires: number;
  /** False: the mirror showed this already. */
  readonly published: boolean;
  readonly rolesTaken: number;
  readonly filesStored: number;
  readonly fileBytes: number;
  readonly removed: RemovalReport;
  readonly problems: readonly TargetProblem[];
  readonly problemCount: number;
  readonly expiredRoles: readonly string[];
  /** What upstream promises, milliseconds. */
  readonly upstreamRetentionMs?: number;
}

export class Mirror {
  readonly #ports: MirrorPorts;
  readonly #updater: Updater;
  readonly #held: Map<string, HeldRole>;
  readonly #selectionNumber: number;
  #presence: { readonly at: number; readonly found: Presence } | undefined;
  /** What was walked through last without a problem: not again, as long as it is the same. */
  #complete: string | undefined;
  #roots: { readonly newest: number; readonly list: readonly RootBytes[] } | undefined;

  constructor(ports: MirrorPorts) {
    this.#ports = ports;
    this.#held = ports.journal.roles();
    this.#selectionNumber = ports.journal.selectionNumber(ports.selection.text);
    const { archive: store, upstream, clock } = ports;
    const { fetcher, metadataUrl } = upstream;
    this.#updater = new Updater({ store, fetcher, clock, metadataUrl });
  }

  /**
   * Brings the mirror up to date. One at a time.
   * @throws CountersignError what the client workflow throws; `mirror-refused`, `mirror-incomplete`,
   *   `metadata-missing`, `upstream-unavailable`, `store-unavailable`, `store-conflict`; `interrupted` when it was ended.
   */
  async sync(): Promise<SyncReport> {
    const { archive, clock, store, journal, rootBytes, observe, upstream } = this.#ports;
    await archive.init(rootBytes);
    await this.#learnFromShown();
    const startedAt = clock.now();
    const retentionMs = await upstreamRetention(upstream);
    const stored = { files: 0, bytes: 0 };
    const { trusted, round } = await this.#takeAll(retentionMs, stored);
    const roots = await this.#allRoots(trusted);
    checkNotEnded(this.#ports.signal);
    const published = await publish({ store, journal, clock }, trusted, roots);
    const now = clock.now();
    this.#noteShown(trusted, now);
    if (retentionMs !== undefined && now - startedAt > retentionMs) {
      observe.warn(
        `this sync took ${seconds(now - startedAt)}, upstream promises to keep what it supersedes for ` +
          `${seconds(retentionMs)}: sync more often, raise --jobs, or ask upstream for a longer retention`,
      );
    }
    const { taken, problems, problemCount, expiredRoles } = round;
    return {
      snapshot: trusted.snapshot.version,
      timestamp: trusted.timestamp.version,
      expires: trusted.timestamp.expires,
      published,
      rolesTaken: taken,
      filesStored: stored.files,
      fileBytes: stored.bytes,
      removed: await this.#removeSuperseded(trusted, now),
      problems,
      problemCount,
      expiredRoles,
      ...(retentionMs === undefined ? {} : { upstreamRetentionMs: retentionMs }),
    };
  }

  /** Rounds until all that the newest snapshot names is held. */
  async #takeAll(
    retentionMs: number | undefined,
    stored: { files: number; bytes: number },
  ): Promise<{ trusted: TrustedState; round: Round }> {
    const { clock, archive, publishIncomplete, signal } = this.#ports;
    let taken = 0;
    let idle = 0;
    for (let known: string | undefined; ;) {
      await this.#updater.refresh();
      const trusted = await readTrustedState(archive);
      // Half of what is promised: whoever reads on with an older snapshot may find nothing.
      const patienceMs = Math.max(SHORTEST_ROUND_MS, (retentionMs ?? Number.POSITIVE_INFINITY) / 2);
      const round = await this.#round(trusted, clock.now() + patienceMs, stored);
      checkNotEnded(signal);
      taken += round.taken;
      idle = round.taken > 0 ? 0 : idle + 1;
      if (round.reached !== undefined && round.problemCount === 0) {
        // A round may take longer than its timestamp lives.
        if (clock.now() < trusted.timestamp.expires) return { trusted, round: { ...round, taken } };
        continue;
      }
      // Files and roles that are gone may be those of a snapshot that has been replaced: is there a newer one?
      const again = known !== trusted.snapshotDigest || round.taken > 0;
      known = trusted.snapshotDigest;
      if (again && idle < MAX_IDLE_ROUNDS) continue;
      if (round.missing !== undefined) throw round.missing;
      if (round.reached !== undefined && publishIncomplete) return { trusted, round: { ...round, taken } };
      throw incomplete(round);
    }
  }

  async #round(
    trusted: TrustedState,
    deadline: number,
    stored: { files: number; bytes: number },
  ): Promise<Round> {
    const { jobs, observe } = this.#ports;
    const presence = await this.#look();
    const key = `${trusted.snapshotDigest} ${trusted.root.version}`;
    if (key === this.#complete && presence.suspects === 0) {
      return { taken: 0, problems: [], problemCount: 0, expiredRoles: [], reached: new Set() };
    }
    const ports = {
      ...this.#ports,
      selectionNumber: this.#selectionNumber,
      held: this.#held,
      presence,
      lanes: new Lanes(jobs),
      deadline,
      progress: (done: number, total: number) => {
        observe.progress(done, total);
      },
      observe: {
        stored: (bytes: number) => {
          stored.files += 1;
          stored.bytes += bytes;
          observe.stored(bytes);
        },
      },
    };
    const round = await takeRound(ports, trusted);
    if (round.reached !== undefined && round.problemCount === 0) {
      this.#dropVanished(round.reached);
      this.#complete = key;
    }
    return round;
  }

  async #look(): Promise<Presence> {
    const { clock, store, journal } = this.#ports;
    const now = clock.now();
    if (this.#presence === undefined || Math.abs(now - this.#presence.at) >= PRESENCE_MS) {
      const found = await Presence.look(store, journal, this.#held, journal.shown()?.snapshot);
      this.#presence = { at: now, found };
    }
    return this.#presence.found;
  }

  /** Roles that no delegation leads to any more (another number of bins). */
  #dropVanished(reached: ReadonlySet<string>): void {
    for (const [role, { version }] of [...this.#held]) {
      if (reached.has(role)) continue;
      this.#ports.journal.record([{ dropped: role, superseded: [versionedName(role, version)] }]);
      this.#held.delete(role);
    }
  }

  /** What the mirror shows is a measure for rollbacks too: the state may have been lost. */
  async #learnFromShown(): Promise<void> {
    const { archive, store } = this.#ports;
    if ((await archive.read('timestamp.json')) !== undefined) return;
    for (const [name, bytes] of await shownFiles(store)) await archive.exchange(name, undefined, bytes);
  }

  async #allRoots({ root }: TrustedState): Promise<readonly RootBytes[]> {
    const { archive, upstream, rootBytes } = this.#ports;
    if (this.#roots?.newest !== root.version) {
      this.#roots = { newest: root.version, list: await archive.roots(upstream, rootBytes) };
    }
    return this.#roots.list;
  }

  /** Also what an earlier process showed, and could not note any more. */
  #noteShown({ timestampDigest, snapshot }: TrustedState, now: number): void {
    const { journal } = this.#ports;
    const before = journal.shown();
    if (before?.timestamp === timestampDigest) return;
    const name = versionedName('snapshot', snapshot.version);
    const former = before === undefined || before.snapshot === name ? [] : [before.snapshot];
    journal.record([{ superseded: former, needed: [name] }]);
    journal.show({ timestamp: timestampDigest, snapshot: name }, now);
  }

  async #removeSuperseded({ snapshot }: TrustedState, now: number): Promise<RemovalReport> {
    const keptMs = await this.#ports.promise(now);
    return removeSuperseded({ ...this.#ports, held: this.#held }, snapshot, now - keptMs, now);
  }
}

function incomplete({ problems, problemCount }: Round): CountersignError {
  const [first] = problems;
  const more = problemCount > 1 ? `, and ${problemCount - 1} more files cannot be had` : '';
  return new CountersignError('mirror-incomplete', `${first?.message ?? 'upstream changes too fast'}${more}`);
}

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}
