// What fsck finds, collected by its parts and handed over piece by piece.
import type { FsckRuleId } from './rules.ts';

/** A rule that a repository does not keep. */
export interface Violation {
  readonly rule: FsckRuleId;
  /** The object in the store, such as `metadata/7.snapshot.json`. */
  readonly name: string;
  /** What stands there, and what should. */
  readonly message: string;
}

/** Collects what the parts of fsck find. */
export class Findings {
  #list: Violation[] = [];

  add(rule: FsckRuleId, name: string, message: string): void {
    this.#list.push({ rule, name, message });
  }

  merge(other: Findings | undefined): void {
    if (other !== undefined) this.#list.push(...other.#list);
  }

  get count(): number {
    return this.#list.length;
  }

  /** Hands over what was found so far. */
  drain(): readonly Violation[] {
    const list = this.#list;
    this.#list = [];
    return list;
  }
}
