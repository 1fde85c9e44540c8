// Delegated roles that were read lately, bounded in bytes: a proxy that answers for all 16,384 bins must not hold
// 3.6 GB of them, and one that is asked about a project again must not parse its bin again.
import type { RoleTrust } from './roles/role-keys.ts';
import type { TargetsFile } from './roles/targets-file.ts';

export interface CachedRole {
  readonly bytes: Uint8Array;
  readonly file: TargetsFile;
  /** The delegations under which its signatures were verified. Another delegator's keys have a say of their own. */
  readonly verifiedUnder: WeakSet<RoleTrust>;
}

export class RoleCache {
  readonly #maxBytes: number;
  /** The one used last is at the end. */
  readonly #entries = new Map<string, CachedRole>();
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get(role: string): CachedRole | undefined {
    const entry = this.#entries.get(role);
    if (entry === undefined) return undefined;
    this.#entries.delete(role);
    this.#entries.set(role, entry);
    return entry;
  }

  set(role: string, entry: CachedRole): void {
    this.#drop(role);
    this.#entries.set(role, entry);
    this.#bytes += entry.bytes.length;
    for (const [oldest] of this.#entries) {
      if (this.#bytes <= this.#maxBytes) break;
      this.#drop(oldest);
    }
  }

  #drop(role: string): void {
    const entry = this.#entries.get(role);
    if (entry === undefined) return;
    this.#entries.delete(role);
    this.#bytes -= entry.bytes.length;
  }
}
