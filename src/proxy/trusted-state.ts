// What the proxy trusts at this moment: one updater for all requests, refreshed when it is asked and no longer fresh.
import type { Target } from '../client/roles/targets-file.ts';
import type { TrustedVersions, Updater } from '../client/updater.ts';
import type { Clock } from '../lib/clock.ts';
import { CountersignError, type ErrorCode } from '../lib/errors.ts';

/** A file that nobody knows may have been published this moment: then a younger state is asked for, this often. */
const RECHECK_MS = 1000;

/** After a refresh that failed, everybody gets its error for so long: a repository that is down is not hammered. */
const FAILURE_MS = 1000;

export interface TrustedStateDeps {
  readonly updater: Updater;
  readonly clock: Clock;
  /** For how long an update is fresh, milliseconds. */
  readonly freshMs: number;
  readonly observe: { refreshed(versions: TrustedVersions): void; failed(code: ErrorCode): void };
}

export class TrustedState {
  readonly #deps: TrustedStateDeps;
  #refreshed: { readonly at: number; readonly versions: TrustedVersions } | undefined;
  #failed: { readonly at: number; readonly error: unknown } | undefined;

  constructor(deps: TrustedStateDeps) {
    this.#deps = deps;
  }

  /**
   * The versions that are trusted now, not older than `maxAgeMs`. Requests at the same time share one update.
   * @throws CountersignError as Updater.refresh does: then nothing may be answered.
   */
  async refresh(maxAgeMs = this.#deps.freshMs): Promise<TrustedVersions> {
    const { updater, clock, observe } = this.#deps;
    const known = this.#refreshed;
    const isFresh = known !== undefined && isWithin(clock.now(), known.at, maxAgeMs);
    // However long it is fresh: metadata that has expired is trusted no longer (indefinite freeze attack).
    if (isFresh && clock.now() < updater.expires) return known.versions;
    const failed = this.#failed;
    if (failed !== undefined && isWithin(clock.now(), failed.at, FAILURE_MS)) throw failed.error;
    // The age counts from the start: what is published during an update may be missing in it.
    const at = clock.now();
    try {
      const versions = await updater.refresh();
      this.#refreshed = { at, versions };
      this.#failed = undefined;
      observe.refreshed(versions);
      return versions;
    } catch (error) {
      this.#refreshed = undefined;
      this.#failed = { at: clock.now(), error };
      observe.failed(error instanceof CountersignError ? error.code : 'internal');
      throw error;
    }
  }

  /**
   * What signed metadata says about a target path, as of the last `freshMs`.
   * @throws CountersignError as Updater.find does.
   */
  async findFresh(path: string): Promise<Target | undefined> {
    await this.refresh();
    return this.#deps.updater.find(path);
  }

  /**
   * What signed metadata says about a target path; for one that it does not know, after a look for newer metadata.
   * @throws CountersignError as Updater.find does.
   */
  async find(path: string): Promise<Target | undefined> {
    await this.refresh();
    // Before it is looked up: who refreshes meanwhile must not pass for the state in which it was not found.
    const before = this.#refreshed;
    const target = await this.#deps.updater.find(path);
    if (target !== undefined) return target;
    await this.refresh(Math.min(RECHECK_MS, this.#deps.freshMs));
    return this.#refreshed === before ? undefined : this.#deps.updater.find(path);
  }

  /** Whether target files carry their hash in their name. */
  get consistentSnapshot(): boolean {
    return this.#deps.updater.consistentSnapshot;
  }
}

/** Whether `now` lies in the span after `start`; a clock that went back ends it. */
function isWithin(now: number, start: number, spanMs: number): boolean {
  return now >= start && now - start < spanMs;
}
