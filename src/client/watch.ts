// How long what is published is still good, seen by a client that trusts a root and nothing else: a freeze by a mirror,
// a service that has stopped signing and a ceremony that nobody has held look the same from outside, and are seen here.
//
// Verified as a client verifies, but for expiry, which is what is reported.
import type { Clock } from '../lib/clock.ts';
import { CountersignError } from '../lib/errors.ts';
import { parseExpires } from '../tuf/lifetimes.ts';
import { MAX_METADATA_BYTES, MAX_ROOT_ROTATIONS } from '../tuf/metadata-limits.ts';
import { TrustedSet } from '../tuf/trusted-set.ts';
import { fetchWhole, type Fetcher } from './fetcher.ts';

export interface WatchRules {
  /** Milliseconds that root, targets and bins have to live at least: the time that a ceremony needs. */
  readonly offlineMs: number;
  /** Milliseconds that timestamp, snapshot and every bin have to live at least. */
  readonly onlineMs: number;
  /** How many bins are read each time, drawn by chance; all of them when there are fewer. */
  readonly sample: number;
}

export interface WatchedRole {
  readonly role: string;
  readonly version: number;
  /** As it stands in the role. */
  readonly expires: string;
  /** Milliseconds; negative when it has expired. */
  readonly remainingMs: number;
  readonly state: 'good' | 'due' | 'expired';
}

export interface WatchReport {
  /** Milliseconds since the epoch. */
  readonly at: number;
  /** root, targets, bins, snapshot, timestamp, and the bins that were read, those that expire first in front. */
  readonly roles: readonly WatchedRole[];
  readonly bins: { readonly count: number; readonly read: number };
}

export interface WatchPorts {
  readonly fetcher: Fetcher;
  readonly clock: Clock;
  /** From 0 to 1. */
  readonly random: () => number;
}

/** A repository under watch; what it has shown once is the measure for the next time. */
export class Watch {
  readonly #ports: WatchPorts;
  readonly #base: string;
  readonly #trusted: TrustedSet;

  private constructor(ports: WatchPorts, base: string, trusted: TrustedSet) {
    this.#ports = ports;
    this.#base = base;
    this.#trusted = trusted;
  }

  /**
   * `metadataUrl`: where timestamp.json is, with or without a final slash. No request is made.
   * @throws CountersignError `metadata-invalid`, `signature-invalid` for a root that is none.
   */
  static async start(metadataUrl: string, root: Uint8Array, ports: WatchPorts): Promise<Watch> {
    const base = metadataUrl.endsWith('/') ? metadataUrl : `${metadataUrl}/`;
    return new Watch(ports, base, await TrustedSet.start(root, ports.clock.now(), 'ignored'));
  }

  /**
   * Reads and verifies what is public now.
   * @throws CountersignError `metadata-missing`, `metadata-invalid`, `metadata-too-large`, `signature-invalid`,
   *   `version-rollback`, `length-or-hash-mismatch`; `store-unavailable`.
   */
  async check({ offlineMs, onlineMs, sample }: WatchRules): Promise<WatchReport> {
    const now = this.#ports.clock.now();
    const set = this.#trusted;
    set.restart(now);
    await this.#updateRoots();
    await set.updateTimestamp(await this.#need('timestamp.json', MAX_METADATA_BYTES.timestamp));
    const { version, length } = set.timestamp.signed.meta['snapshot.json'];
    await set.updateSnapshot(await this.#need(`${version}.snapshot.json`, length));
    const { targetsVersion, binsVersion, layout } = set.snapshot;
    await set.updateTargets(await this.#need(`${targetsVersion}.targets.json`, MAX_METADATA_BYTES.targets));
    await set.updateBins(await this.#need(`${binsVersion}.bins.json`, MAX_METADATA_BYTES.targets));

    const watched = (
      role: string,
      file: { version: number; expires: string },
      leastMs: number,
    ): WatchedRole => {
      const remainingMs = parseExpires(file.expires) - now;
      const state = remainingMs <= 0 ? 'expired' : remainingMs < leastMs ? 'due' : 'good';
      return { role, version: file.version, expires: file.expires, remainingMs, state };
    };
    const drawn = draw(layout.bins, sample, this.#ports.random);
    const bins: WatchedRole[] = [];
    for (const bin of drawn) {
      const name = layout.name(bin);
      const bytes = await this.#need(
        `${set.snapshot.versionOf(bin)}.${name}.json`,
        MAX_METADATA_BYTES.targets,
      );
      bins.push(watched(name, await set.verifyBin(bin, bytes), onlineMs));
    }
    return {
      at: now,
      roles: [
        watched('root', set.root.signed, offlineMs),
        watched('targets', set.targets.signed, offlineMs),
        watched('bins', set.bins.signed, offlineMs),
        watched('snapshot', set.snapshot, onlineMs),
        watched('timestamp', set.timestamp.signed, onlineMs),
        ...bins.toSorted((a, b) => a.remainingMs - b.remainingMs),
      ],
      bins: { count: layout.count, read: drawn.length },
    };
  }

  /** TUF 5.3.1 to 5.3.9 */
  async #updateRoots(): Promise<void> {
    for (let rotations = 0; rotations < MAX_ROOT_ROTATIONS; rotations++) {
      const bytes = await this.#get(
        `${this.#trusted.root.signed.version + 1}.root.json`,
        MAX_METADATA_BYTES.root,
      );
      if (bytes === undefined) break;
      await this.#trusted.updateRoot(bytes);
    }
    this.#trusted.finishRoot();
  }

  #get(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    return fetchWhole(this.#ports.fetcher, `${this.#base}${name}`, maxBytes);
  }

  async #need(name: string, maxBytes: number): Promise<Uint8Array> {
    const bytes = await this.#get(name, maxBytes);
    if (bytes !== undefined) return bytes;
    throw new CountersignError('metadata-missing', `${this.#base}${name} does not exist`);
  }
}

/** So many different ones of `bins`, in their order: the first places of a shuffle. */
function draw(bins: readonly number[], sample: number, random: () => number): number[] {
  const all = [...bins];
  const drawn = Math.min(sample, all.length);
  for (let place = 0; place < drawn; place++) {
    const other = place + Math.floor(random() * (all.length - place));
    [all[place], all[other]] = [all[other] ?? 0, all[place] ?? 0];
  }
  return all.slice(0, drawn).toSorted((a, b) => a - b);
}
