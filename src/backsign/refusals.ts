// What was not taken, and why: counted without end, described up to a number, so that a report stays readable and a list
// of nothing but faults does not fill the memory.

/** Refusals that are described. */
export const DESCRIBED = 10_000;

export interface RefusedLine {
  /** As the operator gave it. */
  readonly file: string;
  /** From 1; of a directory: the number of the file. */
  readonly line: number;
  readonly reason: string;
}

export interface RefusalList {
  /** All of them. */
  readonly count: number;
  readonly described: readonly RefusedLine[];
}

export class Refusals {
  #count: number;
  readonly #described: RefusedLine[];

  /** Goes on with a list that was kept. */
  constructor(kept: RefusalList = { count: 0, described: [] }) {
    this.#count = kept.count;
    this.#described = [...kept.described];
  }

  /** `count` lines were refused; these of them are described. */
  add(count: number, described: readonly RefusedLine[]): void {
    this.#count += count;
    this.#described.push(...described.slice(0, DESCRIBED - this.#described.length));
  }

  get count(): number {
    return this.#count;
  }

  list(): RefusalList {
    return { count: this.#count, described: this.#described };
  }
}
