// Whether what the journal says is held is still there. A listing tells, without reading: an object with the stamp under
// which its content was compared is the same; every other one is read and compared before it counts.
import type { ObjectStore } from '../../storage/store.ts';
import { METADATA_PREFIX, versionedName } from '../../tuf/layout.ts';
import type { HeldRole, MirrorJournal } from '../../storage/mirror-journal.ts';
import { parseMetadataObject } from './object-names.ts';

export class Presence {
  readonly #suspects: Set<string>;
  readonly #stamps: Map<string, string | undefined>;

  private constructor(suspects: Set<string>, stamps: Map<string, string | undefined>) {
    this.#suspects = suspects;
    this.#stamps = stamps;
  }

  /** Lists the metadata. What nobody remembers (a run that was killed left it) is superseded from now on. */
  static async look(
    store: ObjectStore,
    journal: MirrorJournal,
    held: ReadonlyMap<string, HeldRole>,
    shownSnapshot: string | undefined,
  ): Promise<Presence> {
    const expected = new Map<string, string>();
    for (const [role, { version }] of held) expected.set(versionedName(role, version), role);
    const suspects = new Set(held.keys());
    const stamps = new Map<string, string | undefined>();
    const strangers: string[] = [];
    for await (const { name, stamp } of store.list(METADATA_PREFIX)) {
      const parsed = parseMetadataObject(name);
      // timestamp.json and retention.json are replaced, never removed; roots stay for ever.
      if (parsed === undefined || parsed.role === 'root') continue;
      const role = expected.get(name);
      if (role !== undefined && stamp !== undefined && stamp === held.get(role)?.stamp) {
        suspects.delete(role);
        continue;
      }
      stamps.set(name, stamp);
      if (role === undefined && name !== shownSnapshot) strangers.push(name);
    }
    if (strangers.length > 0) journal.record([{ superseded: strangers }]);
    return new Presence(suspects, stamps);
  }

  get suspects(): number {
    return this.#suspects.size;
  }

  isSuspect(role: string): boolean {
    return this.#suspects.has(role);
  }

  /** Whether the store may have an object under the name that is not known to be right. */
  mayHold(name: string): boolean {
    return this.#stamps.has(name);
  }

  /** The stamp at the time of the listing. */
  stampOf(name: string): string | undefined {
    return this.#stamps.get(name);
  }

  /** The role was compared, or written anew. */
  found(role: string, name: string): void {
    this.#suspects.delete(role);
    this.#stamps.delete(name);
  }
}
