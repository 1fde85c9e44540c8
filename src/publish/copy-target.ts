// The destination of a copy: what is there is compared, what is not is written and read back.
import { equalBytes } from '../lib/bytes.ts';
import { CountersignError, hasCode, messageOf } from '../lib/errors.ts';
import type { ObjectStore, VersionToken } from '../storage/store.ts';
import type { Envelope } from '../tuf/envelope.ts';
import { TIMESTAMP_NAME } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { Timestamp } from '../tuf/metadata.ts';
import { parseTimestamp } from '../tuf/parse-timestamp.ts';
import { verifyEnvelope, type RoleTrust } from '../tuf/threshold.ts';

export class CopyTarget {
  copied = 0;
  copiedBytes = 0;
  present = 0;
  readonly #store: ObjectStore | undefined;
  readonly #dryRun: boolean;
  /** What timestamp.json there is to be replaced. */
  #current: { readonly token: VersionToken; readonly bytes: Uint8Array } | undefined;
  /** The last object was there already: a copy goes on where another one stopped. Look before sending the next. */
  #looking = false;

  constructor(store: ObjectStore | undefined, dryRun: boolean) {
    this.#store = store;
    this.#dryRun = dryRun;
  }

  get done(): number {
    return this.copied + this.present;
  }

  /**
   * Puts a write-once object, unless it is there.
   * @throws CountersignError `copy-refused` when the name has other content; `store-unavailable`.
   */
  async put(name: string, bytes: Uint8Array): Promise<void> {
    if (this.#store === undefined) {
      this.#count(bytes);
      return;
    }
    const looking = this.#looking || this.#dryRun;
    if (looking && (await this.#holds(this.#store, name, bytes))) {
      this.present += 1;
      return;
    }
    this.#looking = false;
    if (this.#dryRun) {
      this.#count(bytes);
      return;
    }
    const result = await this.#store.putImmutable(name, bytes);
    if (!(await this.#holds(this.#store, name, bytes))) {
      throw new CountersignError(
        'store-unavailable',
        `${name} was written to the destination and is absent there`,
      );
    }
    if (result === 'created') {
      this.#count(bytes);
      return;
    }
    this.present += 1;
    this.#looking = true;
  }

  /**
   * Notes the destination's timestamp.json, which must not be newer than the one to come.
   * @throws CountersignError `copy-refused`.
   */
  async checkTimestamp(
    next: { readonly bytes: Uint8Array; readonly envelope: Envelope<Timestamp> },
    trusts: readonly RoleTrust[],
  ): Promise<void> {
    const object = await this.#store?.get(TIMESTAMP_NAME, MAX_METADATA_BYTES.timestamp);
    this.#current = object && { token: object.token, bytes: object.bytes };
    if (object === undefined || equalBytes(object.bytes, next.bytes)) return;
    const { version } = await verified(object.bytes, trusts);
    const ours = next.envelope.signed.version;
    if (version < ours) return;
    throw new CountersignError(
      'copy-refused',
      version > ours
        ? `the destination is ahead: its timestamp has version ${version}, the source's ${ours}`
        : `${TIMESTAMP_NAME} in the destination has version ${version} too, and other content`,
    );
  }

  /** Makes the copy visible. @throws CountersignError `copy-refused` when somebody else wrote meanwhile. */
  async replaceTimestamp(bytes: Uint8Array): Promise<void> {
    if (this.#current !== undefined && equalBytes(this.#current.bytes, bytes)) {
      this.present += 1;
      return;
    }
    if (!this.#dryRun) {
      try {
        await this.#store?.replace(TIMESTAMP_NAME, bytes, this.#current?.token);
      } catch (error) {
        if (!hasCode(error, 'store-conflict')) throw error;
        throw new CountersignError(
          'copy-refused',
          `${TIMESTAMP_NAME} in the destination was changed by somebody else during the copy`,
          { cause: error },
        );
      }
    }
    this.#count(bytes);
  }

  /** @throws CountersignError `copy-refused` when the object is there and is another. */
  async #holds(store: ObjectStore, name: string, bytes: Uint8Array): Promise<boolean> {
    const object = await store.get(name, bytes.length).catch((error: unknown) => {
      if (hasCode(error, 'metadata-too-large')) throw otherContent(name, error);
      throw error;
    });
    if (object === undefined) return false;
    if (!equalBytes(object.bytes, bytes)) throw otherContent(name);
    return true;
  }

  #count(bytes: Uint8Array): void {
    this.copied += 1;
    this.copiedBytes += bytes.length;
  }
}

async function verified(bytes: Uint8Array, trusts: readonly RoleTrust[]): Promise<Timestamp> {
  let problem: unknown;
  for (const trust of trusts) {
    try {
      return (await verifyEnvelope('timestamp', trust, parseTimestamp(bytes))).signed;
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
      problem ??= error;
    }
  }
  throw new CountersignError(
    'copy-refused',
    `${TIMESTAMP_NAME} in the destination is not one of this repository: ${messageOf(problem)}`,
    { cause: problem },
  );
}

function otherContent(name: string, cause?: unknown): CountersignError {
  return new CountersignError('copy-refused', `${name} is in the destination with other content`, {
    cause,
    details: { object: name },
  });
}
