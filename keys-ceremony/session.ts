// One command in the folder of one ceremony: where the folder is, and the transcript that every step goes into.
import { stat } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { sha256Hex } from '../src/lib/bytes.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { VERSION } from '../src/lib/version.ts';
import type { CeremonyContext } from './context.ts';
import { ownDigest } from './own-digest.ts';
import { Transcript } from './transcript.ts';
import type { TranscriptStep } from './transcript-steps.ts';

/** Adds what every command in a folder takes. */
export function withFolder(command: Command): Command {
  return command
    .option('--folder <dir>', 'the folder of the ceremony', '.')
    .option('--json', 'answer with one JSON document on standard output');
}

/** The folder that was named, absolute. */
export function folderOf({ cwd }: CeremonyContext, options: { readonly folder?: string }): string {
  return path.resolve(cwd, options.folder ?? '.');
}

/**
 * Appends a step to the transcript of this computer.
 * @throws CountersignError `transcript-invalid`, `transcript-locked`, `usage`.
 */
export async function record(
  context: CeremonyContext,
  folder: string,
  ceremony: string,
  step: TranscriptStep,
): Promise<void> {
  const { clock, random } = context;
  const tool = (context.tool ?? (await ownDigest())).sha256;
  await new Transcript(folder, {
    clock,
    random,
    ceremony,
    computer: await computerId(context),
    folder: await folderId(folder),
    version: VERSION,
    tool,
  }).append(step);
}

/** Stands for this computer until it is started again; the same for all where Linux does not say. */
async function computerId({ machine }: CeremonyContext): Promise<string> {
  const boot = await machine?.read('/proc/sys/kernel/random/boot_id');
  return sha256Hex(`countersign computer ${boot?.trim() ?? ''}`).slice(0, 16);
}

/** Stands for this folder on this computer, whatever it is called: a copy of it is another one. */
async function folderId(folder: string): Promise<string> {
  const { dev, ino } = await stat(folder, { bigint: true });
  return sha256Hex(`countersign folder ${dev} ${ino}`).slice(0, 16);
}

/**
 * Runs a step; a refusal goes into the transcript too, when there is a ceremony to write it down for.
 */
export async function recorded<T>(
  context: CeremonyContext,
  folder: string,
  ceremony: string,
  command: string,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof CountersignError && !error.code.startsWith('transcript-')) {
      // What went wrong is what the person has to read; that it could not be written down as well is not.
      await record(context, folder, ceremony, { step: 'refused', command, code: error.code }).catch(
        ignoreTranscript,
      );
    }
    throw error;
  }
}

function ignoreTranscript(error: unknown): void {
  if (!(error instanceof CountersignError)) throw error;
}
