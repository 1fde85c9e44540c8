// A process whose writes go wrong: one write of its choice fails, or fails although it took place, or is the last thing
// that the process does. Every kind of write is counted, so that a test can take an undisturbed run and break each
// write of it in turn.
import type { History, Ledger } from '../../src/ledger/ledger.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { CountersignError } from '../../src/lib/errors.ts';
import type { ObjectStore } from '../../src/storage/store.ts';

export const FAULTS = ['fails', 'fails although it took place', 'dies after it'] as const;
export type Fault = (typeof FAULTS)[number];

const STORE_WRITES = ['stage', 'putImmutable', 'replace', 'remove'] as const;
const LEDGER_WRITES = [
  'append',
  'advance',
  'announce',
  'adopt',
  'finish',
  'lease',
  'prune',
  'placeOrder',
  'settleOrder',
] as const;
export type Write = (typeof STORE_WRITES)[number] | (typeof LEDGER_WRITES)[number];

export interface PlannedFault {
  readonly write: Write;
  /** The first one of its kind is 1. */
  readonly nth: number;
  readonly fault: Fault;
}

export class FaultyProcess {
  readonly counts = new Map<Write, number>();
  readonly died: Promise<void>;
  /** True once the planned fault has come. */
  happened = false;
  #die: () => void = () => undefined;
  #dead = false;
  readonly #also: () => boolean;
  readonly #plan: PlannedFault | undefined;

  /** `also`: whether one of its threads has brought it down. */
  constructor(plan?: PlannedFault, also: () => boolean = () => false) {
    this.#plan = plan;
    this.#also = also;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  get isDead(): boolean {
    return this.#dead || this.#also();
  }

  store(store: ObjectStore): ObjectStore {
    return this.#wrap(store, STORE_WRITES, 'store-unavailable');
  }

  ledger<L extends Ledger & History>(ledger: L): L {
    return this.#wrap(ledger, LEDGER_WRITES, 'ledger-unavailable');
  }

  #wrap<T extends object>(
    target: T,
    writes: readonly Write[],
    code: 'store-unavailable' | 'ledger-unavailable',
  ): T {
    return new Proxy(target, {
      get: (_, property) => {
        const member: unknown = Reflect.get(target, property, target);
        if (typeof member !== 'function') return member;
        return (...args: unknown[]): unknown => {
          const call = (): unknown => Reflect.apply(member, target, args);
          if (this.isDead) return Promise.reject(new CountersignError(code, 'this process is dead'));
          const write = writes.find((name) => name === property);
          return write === undefined ? call() : this.#write(write, call as () => Promise<unknown>, code);
        };
      },
    });
  }

  async #write(
    write: Write,
    call: () => Promise<unknown>,
    code: 'store-unavailable' | 'ledger-unavailable',
  ): Promise<unknown> {
    const nth = (this.counts.get(write) ?? 0) + 1;
    this.counts.set(write, nth);
    if (write !== this.#plan?.write || nth !== this.#plan.nth) return call();
    this.happened = true;
    const { fault } = this.#plan;
    if (fault !== 'fails') await call();
    if (fault === 'dies after it') {
      this.#dead = true;
      this.#die();
    }
    throw new CountersignError(code, `${write} ${nth} ${fault}`);
  }
}

/** One row for each write of an undisturbed run and each fault. */
export function faultRows(counts: ReadonlyMap<Write, number>, leases: number): PlannedFault[] {
  return [...counts].flatMap(([write, count]) =>
    Array.from({ length: write === 'lease' ? leases : count }, (_, index) =>
      FAULTS.map((fault) => ({ write, nth: index + 1, fault })),
    ).flat(),
  );
}

/** Watches a store for versions that have had two contents: what is signed is compared, whichever signature it bears. */
export class TwoContents {
  readonly found: string[] = [];
  readonly #seen = new Map<string, string>();

  store(store: ObjectStore): ObjectStore {
    const see = (name: string, bytes: Uint8Array): void => {
      // A page is named by its hash; the memory store sees to it that the name keeps its content.
      if (name.startsWith('targets/')) return;
      const { signed } = JSON.parse(Buffer.from(bytes).toString()) as { signed: { version: number } };
      const key = `${name} version ${signed.version}`;
      const content = sha256Hex(JSON.stringify(signed));
      if ((this.#seen.get(key) ?? content) !== content) this.found.push(key);
      this.#seen.set(key, content);
    };
    return {
      get: (name, maxBytes) => store.get(name, maxBytes),
      list: (prefix) => store.list(prefix),
      remove: (name) => store.remove(name),
      stage: async (name, bytes) => store.stage?.(name, bytes),
      putImmutable: (name, bytes) => {
        see(name, bytes);
        return store.putImmutable(name, bytes);
      },
      replace: (name, bytes, token) => {
        see(name, bytes);
        return store.replace(name, bytes, token);
      },
    };
  }
}
