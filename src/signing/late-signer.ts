// A signer that was not there when the service started. Asking for its key says so (`signer-unavailable`) and begins
// the next try, unless one was made just now: the publisher waits, says why, and goes on by itself, while events are
// accepted all the time. Where another key suffices, nobody waits (../publish/signers.ts).
import type { Clock } from '../lib/clock.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import type { PublicKey } from '../tuf/metadata.ts';
import type { Signer } from './signer.ts';

/** Milliseconds from the end of a try that failed to the next one, at least. */
const PAUSE_MS = 1000;

/**
 * Opens a signer now, or later when it is not available now.
 * @param waiting Told once why it is not available now.
 * @throws CountersignError anything but `signer-unavailable`: waiting would not help.
 */
export async function openNowOrLater(
  open: () => Promise<Signer>,
  waiting: (reason: CountersignError) => void,
  clock: Pick<Clock, 'sleep'>,
): Promise<Signer> {
  try {
    return await open();
  } catch (error) {
    if (!hasCode(error, 'signer-unavailable')) throw error;
    waiting(error);
    return new LateSigner(open, error, clock);
  }
}

/** False for a signer that was not reached yet, and so has no key. */
export function isReached(signer: Signer): boolean {
  try {
    return signer.keyid !== '';
  } catch (error) {
    if (error instanceof CountersignError) return false;
    throw error;
  }
}

/** True when both are known to have one key. */
export function isSameKey(one: Signer, other: Signer): boolean {
  // While one is not reached nobody knows. Two signatures of one key in a file do not verify: nothing would be written.
  return isReached(one) && isReached(other) && one.keyid === other.keyid;
}

class LateSigner implements Signer {
  readonly #open: () => Promise<Signer>;
  readonly #clock: Pick<Clock, 'sleep'>;
  readonly #closing = new AbortController();
  #signer: Signer | undefined;
  #opening: Promise<void> | undefined;
  #problem: unknown;

  constructor(open: () => Promise<Signer>, problem: CountersignError, clock: Pick<Clock, 'sleep'>) {
    this.#open = open;
    this.#problem = problem;
    this.#clock = clock;
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
    this.#closing.abort();
    await this.#opening;
    await this.#signer?.close();
  }

  #opened(): Signer {
    if (this.#signer !== undefined) return this.#signer;
    if (mayPass(this.#problem) && !this.#closing.signal.aborted) this.#opening ??= this.#try();
    throw this.#problem;
  }

  async #try(): Promise<void> {
    try {
      this.#signer = await this.#open();
    } catch (error) {
      this.#problem = error;
      await this.#clock.sleep(PAUSE_MS, this.#closing.signal);
    }
    this.#opening = undefined;
  }
}

/** What is away may be back: the key service, or the ledger that is asked which key is trusted. A refused PIN stays one. */
function mayPass(problem: unknown): boolean {
  return problem instanceof CountersignError && problem.kind === 'unavailable';
}
