// The signatures under the transcripts of a ceremony, one file a holder.
import { CountersignError } from '../src/lib/errors.ts';
import { listFolder, readRequired } from './ceremony-folder.ts';
import type { PublicPart } from './public-key-file.ts';
import type { TranscriptOfComputer } from './transcript-set.ts';
import {
  checkTranscriptSignature,
  MAX_TRANSCRIPT_SIGNATURE_BYTES,
  parseTranscriptSignature,
  type TranscriptSignature,
} from './transcript-signature.ts';

/** Apart from the signatures under metadata: no command may ever take one for the other. */
export const ATTESTATIONS_FOLDER = 'attestations';

export function attestationFile(keyid: string): string {
  return `${ATTESTATIONS_FOLDER}/${keyid}.json`;
}

/**
 * The signatures in the folder, each verified against the transcripts that are there.
 * @throws CountersignError `transcript-invalid` that names the first one that does not fit.
 */
export async function readAttestations(
  folder: string,
  holders: readonly PublicPart[],
  transcripts: readonly TranscriptOfComputer[],
): Promise<TranscriptSignature[]> {
  const attestations: TranscriptSignature[] = [];
  for (const name of await listFolder(folder, ATTESTATIONS_FOLDER)) {
    if (name.startsWith('.')) continue;
    const file = `${ATTESTATIONS_FOLDER}/${name}`;
    const bytes = await readRequired(folder, file, MAX_TRANSCRIPT_SIGNATURE_BYTES);
    const attestation = parseTranscriptSignature(bytes, file);
    if (file !== attestationFile(attestation.signature.keyid)) {
      throw new CountersignError('transcript-invalid', `${file} is of key ${attestation.signature.keyid}`);
    }
    await checkTranscriptSignature(attestation, holders, transcripts);
    attestations.push(attestation);
  }
  return attestations;
}
