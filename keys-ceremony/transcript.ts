// The transcript of one computer: every step of a ceremony, appended to a file that is never rewritten. A line is on the
// disk before the step that it stands for is reported as done.
import { constants } from 'node:fs';
import { open, rename, unlink, type FileHandle } from 'node:fs/promises';
import path from 'node:path';
import { equalBytes, sha256Hex } from '../src/lib/bytes.ts';
import type { Clock } from '../src/lib/clock.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { formatExpires } from '../src/tuf/lifetimes.ts';
import { foreignTranscriptFile, readRegularFile } from './ceremony-folder.ts';
import type { RandomSource } from './ceremony-key.ts';
import {
  lineText,
  MAX_TRANSCRIPT_BYTES,
  TRANSCRIPT_FORMAT,
  verifyTranscript,
  type VerifiedTranscript,
} from './transcript-chain.ts';
import { underLock } from './transcript-lock.ts';
import type { TranscriptStep } from './transcript-steps.ts';
import { unwritable } from './write-file.ts';

/** Of this computer; the transcripts of others lie beside it as `transcript.NAME.ndjson`. */
export const TRANSCRIPT_FILE = 'transcript.ndjson';

/** Bytes of randomness that tell two transcripts apart. */
const ID_BYTES = 8;

/** What stands in the first line, and what the transcript needs of the process. */
export interface TranscriptSource {
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly ceremony: string;
  /**
   * 16 hex digits that stand for this computer since it was started, and as many for the folder on it. People carry and
   * copy the whole folder: a transcript that was begun on another computer, or in another folder of this one, is set
   * aside under a name of its own, and a new one begun. So two copies never continue one chain in two ways.
   */
  readonly computer: string;
  readonly folder: string;
  /** Of this program. */
  readonly version: string;
  /** SHA-256 of the file that runs: `ownDigest()`. */
  readonly tool: string;
}

export class Transcript {
  readonly path: string;
  readonly #source: TranscriptSource;

  /** The transcript in the folder of a ceremony; the file is made with the first step. */
  constructor(folder: string, source: TranscriptSource) {
    this.path = path.join(folder, TRANSCRIPT_FILE);
    this.#source = source;
  }

  /**
   * Appends a step; it is on the disk when this resolves. The whole chain is verified before: nothing is added to a
   * transcript that was changed. The end of a line that was cut off is accounted for first, by a line of its own.
   * @returns the head: SHA-256 of the line.
   * @throws CountersignError `transcript-invalid` when the chain is broken, `transcript-locked` when another process
   *   holds it, `file-unwritable` on a full disk, `ceremony-file-invalid` for a symbolic link.
   */
  async append(step: TranscriptStep): Promise<string> {
    return underLock(`${this.path}.lock`, this.#source.clock, async () => {
      await this.#setAsideForeign();
      let file: FileHandle;
      try {
        // O_NOFOLLOW: the file that grows must be the one in this folder.
        const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;
        file = await open(this.path, O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, 0o644);
      } catch (error) {
        throw unwritable(this.path, error);
      }
      try {
        return await this.#appendTo(file, step);
      } finally {
        await file.close();
      }
    });
  }

  async #appendTo(file: FileHandle, step: TranscriptStep): Promise<string> {
    let bytes = await file.readFile();
    const add = async (text: string): Promise<VerifiedTranscript> => {
      try {
        await file.appendFile(text);
        await file.sync();
      } catch (error) {
        throw unwritable(this.path, error);
      }
      bytes = Buffer.concat([bytes, Buffer.from(text)]);
      return verifyTranscript(bytes);
    };
    let verified = verifyTranscript(bytes);
    if (verified.torn !== undefined) {
      // In one write: a second power cut leaves at worst a longer end that is cut off.
      verified = await add(`\n${this.#recovery(bytes, verified)}\n`);
    }
    if (!verified.lines.some((line) => line.step === 'begun')) {
      verified = await add(`${this.#line(verified, this.#firstStep())}\n`);
      await this.#syncFolder();
    }
    return (await add(`${this.#line(verified, step)}\n`)).head;
  }

  #recovery(bytes: Uint8Array, verified: VerifiedTranscript): string {
    const nothing = { bytes: 0, sha256: sha256Hex('') };
    // When only the line end is missing nothing is lost: it is about to be written.
    if (verified.torn?.whole === true) {
      return this.#line(verifyTranscript(Buffer.concat([bytes, Buffer.from('\n')])), {
        step: 'recovered',
        ...nothing,
      });
    }
    const { bytes: lost, sha256 } = verified.torn ?? nothing;
    return this.#line(verified, { step: 'recovered', bytes: lost, sha256 });
  }

  #firstStep(): TranscriptStep {
    const { ceremony, computer, folder, version, tool, random } = this.#source;
    const transcript = Buffer.from(random(ID_BYTES)).toString('hex');
    return {
      step: 'begun',
      format: TRANSCRIPT_FORMAT,
      transcript,
      computer,
      folder,
      ceremony,
      version,
      tool,
    };
  }

  #line({ lines, head }: VerifiedTranscript, step: TranscriptStep): string {
    return lineText(lines.length + 1, head, formatExpires(this.#source.clock.now()), step);
  }

  async #setAsideForeign(): Promise<void> {
    const bytes = await this.#read(this.path);
    if (bytes === undefined) return;
    const begun = verifyTranscript(bytes).lines.find((line) => line.step === 'begun');
    const { computer, folder } = this.#source;
    if (begun === undefined || (begun.computer === computer && begun.folder === folder)) return;
    const aside = path.join(path.dirname(this.path), foreignTranscriptFile(begun.transcript));
    const known = await this.#read(aside);
    const common = Math.min(bytes.length, known?.length ?? bytes.length);
    if (known !== undefined && !equalBytes(known.subarray(0, common), bytes.subarray(0, common))) {
      throw new CountersignError('transcript-invalid', `${this.path} and ${aside} contradict each other`);
    }
    // The longer one stays.
    await (known !== undefined && known.length >= bytes.length
      ? unlink(this.path)
      : rename(this.path, aside));
    await this.#syncFolder();
  }

  async #read(file: string): Promise<Buffer | undefined> {
    return readRegularFile(file, MAX_TRANSCRIPT_BYTES);
  }

  /** Makes the name of a new file durable. */
  async #syncFolder(): Promise<void> {
    const folder = await open(path.dirname(this.path), 'r');
    try {
      await folder.sync();
    } finally {
      await folder.close();
    }
  }
}
