// Whether a step stands in a transcript of the folder, this computer's or another's. A disk can be full between a file
// and the line about it: then the step is repeated, finds its file, and writes the line that is missing.
import { readTranscripts } from './transcript-set.ts';
import type { TranscriptStep } from './transcript-steps.ts';

/**
 * True when a line says exactly this.
 * @throws CountersignError `transcript-invalid` when a transcript was changed.
 */
export async function isOnRecord(folder: string, step: TranscriptStep): Promise<boolean> {
  const wanted = Object.entries(step).map(([name, value]) => [name, JSON.stringify(value)] as const);
  const transcripts = await readTranscripts(folder);
  return transcripts.some(({ verified: { lines } }) =>
    lines.some((line) =>
      wanted.every(([name, text]) => JSON.stringify((line as Record<string, unknown>)[name]) === text),
    ),
  );
}
