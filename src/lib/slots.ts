// A bounded amount of something: requests in hand, streams, bytes of bodies. What does not fit is refused at once.

export class Slots {
  readonly #limit: number;
  #taken = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  get taken(): number {
    return this.#taken;
  }

  /** A function that gives `amount` back, once; undefined when it does not fit. */
  take(amount = 1): (() => void) | undefined {
    if (this.#taken + amount > this.#limit) return undefined;
    this.#taken += amount;
    let held = true;
    return () => {
      if (held) this.#taken -= amount;
      held = false;
    };
  }
}
