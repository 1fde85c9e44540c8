// Takes over the transcripts of other computers, and the signatures under them.
import { open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError } from '../src/lib/errors.ts';
import { ATTESTATIONS_FOLDER, attestationFile } from './attestations.ts';
import { listFolder, readRegularFile, readRequired } from './ceremony-folder.ts';
import { MAX_TRANSCRIPT_BYTES } from './transcript-chain.ts';
import { foreignName, headAt, readTranscripts, type TranscriptOfComputer } from './transcript-set.ts';
import { MAX_TRANSCRIPT_SIGNATURE_BYTES, parseTranscriptSignature } from './transcript-signature.ts';
import { unwritable, writeOnce } from './write-file.ts';

export interface MergedTranscripts {
  /** Files that were written or have grown. */
  readonly added: readonly string[];
  readonly known: readonly string[];
}

/**
 * Copies what `from`, the folder of the same ceremony on another computer, has and `folder` has not. A transcript that
 * is there already may only have grown.
 * @throws CountersignError `transcript-invalid` when one is broken, of another ceremony, or contradicts the copy here;
 *   `ceremony-file-missing` when there is none.
 */
export async function mergeTranscripts(
  folder: string,
  from: string,
  ceremony: string,
): Promise<MergedTranscripts> {
  const here = await readTranscripts(folder);
  const added: string[] = [];
  const known: string[] = [];
  const brought = await readTranscripts(from);
  // A mistyped name, a stick that is not mounted: nothing to take over is never what was meant.
  if (brought.length === 0) {
    throw new CountersignError(
      'ceremony-file-missing',
      `${from} has no transcript: give the folder of the ceremony as the other computer left it`,
    );
  }
  for (const theirs of brought) {
    if (theirs.ceremony !== ceremony) {
      throw new CountersignError(
        'transcript-invalid',
        `${path.join(from, theirs.file)} is of the ceremony ${theirs.ceremony}, this one is ${ceremony}`,
      );
    }
    const ours = here.find(({ id }) => id === theirs.id);
    const name = ours?.file ?? foreignName(theirs);
    if (ours !== undefined && !extendsOurs(theirs, ours, from)) known.push(name);
    else {
      await replace(folder, name, path.join(from, theirs.file));
      added.push(name);
    }
  }
  for (const name of await listFolder(from, ATTESTATIONS_FOLDER)) {
    // What file managers leave on sticks.
    if (name.startsWith('.')) continue;
    const bytes = await readRequired(from, `${ATTESTATIONS_FOLDER}/${name}`, MAX_TRANSCRIPT_SIGNATURE_BYTES);
    const file = attestationFile(parseTranscriptSignature(bytes, path.join(from, name)).signature.keyid);
    ((await writeOnce(folder, file, bytes)) === 'written' ? added : known).push(file);
  }
  return { added, known };
}

/** True when theirs goes on where ours ends; false when it is the same or shorter. */
function extendsOurs(theirs: TranscriptOfComputer, ours: TranscriptOfComputer, from: string): boolean {
  const n = Math.min(theirs.verified.lines.length, ours.verified.lines.length);
  const [a, b] = [headAt(theirs.verified, n), headAt(ours.verified, n)];
  if (a === b) return theirs.verified.lines.length > n;
  throw new CountersignError(
    'transcript-invalid',
    `line ${n} of ${ours.file} has SHA-256 ${b ?? ''}, in ${path.join(from, theirs.file)} ${a ?? ''}`,
  );
}

/** Puts a copy in the place of a shorter one: a reader sees one or the other. */
async function replace(folder: string, name: string, source: string): Promise<void> {
  const bytes = await readRegularFile(source, MAX_TRANSCRIPT_BYTES);
  if (bytes === undefined) throw new CountersignError('ceremony-file-missing', `${source} is not there`);
  const partial = path.join(folder, `.${name}.partial`);
  try {
    const file = await open(partial, 'w', 0o644);
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(partial, path.join(folder, name));
  } catch (cause) {
    await rm(partial, { force: true });
    throw unwritable(path.join(folder, name), cause);
  }
}
