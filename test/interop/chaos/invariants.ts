// What must hold whatever happens to the nodes and their servers. Everything that breaks one is a line in `broken`.
import { sha256Hex } from '../../../src/lib/bytes.ts';
import { METADATA_PREFIX, parseVersionedName } from '../../../src/tuf/layout.ts';
import type { Cluster } from './cluster.ts';

/** Far above any object of these few bins. */
const MAX_BYTES = 10_000_000;

/** An event that was answered with 2xx, so that it can never be lost. */
export interface AnsweredEvent {
  readonly path: string;
  readonly sha256: string;
}

export class Invariants {
  readonly broken: string[] = [];
  /** By event id. */
  readonly answered = new Map<string, AnsweredEvent>();
  /** Object name to the SHA-256 of the content that was first seen under it. */
  readonly #contents = new Map<string, string>();
  /** The newest snapshot that anybody has been told of, or has seen. */
  publicSnapshot = 0;

  get objects(): number {
    return this.#contents.size;
  }

  break(what: string): void {
    // Whatever breaks once in a loop breaks a thousand times.
    if (this.broken.length < 50) this.broken.push(what);
  }

  /** A versioned object has one content for ever, whoever shows it. */
  saw(name: string, bytes: Uint8Array, where: string): void {
    if (parseVersionedName(name) === undefined) return;
    const sha256 = sha256Hex(bytes);
    const first = this.#contents.get(name);
    if (first === undefined) this.#contents.set(name, sha256);
    else if (first !== sha256) this.break(`${name} has two contents: ${first}, and ${sha256} in ${where}`);
  }

  isPublic(snapshot: number): void {
    this.publicSnapshot = Math.max(this.publicSnapshot, snapshot);
  }

  /** Reads what is in the bucket; `again`: also what was seen before. Answers the number of objects. */
  async watchBucket({ store }: Cluster, again = false): Promise<number> {
    let count = 0;
    for await (const { name } of store.list(METADATA_PREFIX)) {
      count += 1;
      if (!again && this.#contents.has(name)) continue;
      const object = await store.get(name, MAX_BYTES);
      if (object !== undefined) this.saw(name, object.bytes, 'the bucket');
    }
    return count;
  }

  /** Nothing that was seen has gone: nothing was collected in this time. */
  async checkNothingGone(cluster: Cluster): Promise<void> {
    const left = new Set(this.#contents.keys());
    for await (const { name } of cluster.store.list(METADATA_PREFIX)) left.delete(name);
    for (const name of left) this.break(`${name} was seen and is gone`);
  }

  /** Each answered event is published; resolves with the ids of those that are not. */
  async unpublished({ postgres }: Cluster): Promise<string[]> {
    const rows = await postgres.sql<{ id: string; code: string | null }>(
      'chaos',
      'SELECT id, code FROM countersign.events WHERE snapshot IS NOT NULL',
    );
    const settled = new Set(rows.filter(({ code }) => code === null).map(({ id }) => id));
    return [...this.answered.keys()].filter((id) => !settled.has(id));
  }

  /** The feed names each answered path once, in one snapshot, with the content that was sent. */
  async checkFeed(address: string): Promise<void> {
    const response = await fetch(`${address}/v1/changes`);
    const found = new Map<string, { snapshot: number; sha256: string }>();
    const lines = (await response.text()).split('\n').filter((line) => line !== '');
    for (const line of lines) {
      const { snapshot, added, replaced, removed } = JSON.parse(line) as {
        snapshot: number;
        added: { path: string; hashes: { sha256: string } }[];
        replaced: { path: string }[];
        removed: string[];
      };
      for (const { path } of replaced) this.break(`${path} was replaced in snapshot ${snapshot}`);
      for (const path of removed) this.break(`${path} was removed in snapshot ${snapshot}`);
      for (const { path, hashes } of added) {
        const before = found.get(path);
        if (before !== undefined) this.break(`${path} is in snapshots ${before.snapshot} and ${snapshot}`);
        found.set(path, { snapshot, sha256: hashes.sha256 });
      }
    }
    for (const [id, { path, sha256 }] of this.answered) {
      const published = found.get(path);
      if (published === undefined) this.break(`event ${id} was answered and is in no snapshot`);
      else if (published.sha256 !== sha256) this.break(`event ${id} was published with another content`);
    }
  }
}
