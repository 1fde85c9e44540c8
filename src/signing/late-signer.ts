// A signer that was not there when the service started. Asking for its key says so (`signer-unavailable`) and begins
// the next try, so that the publisher's own pauses are the pauses between tries: it waits, says why, and goes on by
// itself, while events are accepted all the time.
import { hasCode, type CountersignError } from '../lib/errors.ts';
import type { PublicKey } from '../tuf/metadata.ts';
import type { Signer } from './signer.ts';

/**
 * Opens a signer now, or later when it is not available now.
 * @param waiting Told once why it is not available now.
 * @throws CountersignError anything but `signer-unavailable`: waiting would not help.
 */
export async function openNowOrLater(
  open: () => Promise<Signer>,
  waiting: (reason: CountersignError) => void,
): Promise<Signer> {
  try {
    return await open();
  } catch (error) {
    if (!hasCode(error, 'signer-unavailable')) throw error;
    waiting(error);
    return new LateSigner(open, error);
  }
}

/** True when both are known to have one key. */
export function isSameKey(one: Signer, other: Signer): boolean {
  try {
    return one.keyid === other.keyid;
  } catch (error) {
    // Not reached yet. Two signatures of one key in a file do not verify: nothing would be written.
    if (hasCode(error, 'signer-unavailable')) return false;
    throw error;
  }
}

class LateSigner implements Signer {
  readonly #open: () => Promise<Signer>;
  #signer: Signer | undefined;
  #opening: Promise<void> | undefined;
  #problem: unknown;
  #closed = false;

  constructor(open: () => Promise<Signer>, problem: CountersignError) {
    this.#open = open;
    this.#problem = problem;
  }

  get keyid(): string {
    return this.#opened().keyid;
  }

  get publicKey(): PublicKey {
    return this.#opened().publicKey;
  }

  async sign(messages: readonly Uint8Array[]): Promise<Uint8Array[]> {
    return this.#opened().sign(messages);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#opening;
    await this.#signer?.close();
  }

  #opened(): Signer {
    if (this.#signer !== undefined) return this.#signer;
    // Another reason than `signer-unavailable`, a refused PIN above all, is not tried again.
    if (hasCode(this.#problem, 'signer-unavailable') && !this.#closed) this.#opening ??= this.#try();
    throw this.#problem;
  }

  async #try(): Promise<void> {
    try {
      this.#signer = await this.#open();
    } catch (error) {
      this.#problem = error;
    }
    this.#opening = undefined;
  }
}
