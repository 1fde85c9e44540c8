// A holder's signature under the transcripts of a ceremony, which ends it: from then on not even the last line can be
// cut off or replaced without a trace.
//
// The keys are those that sign root, so the message must never be one that also means something as metadata. What TUF
// signs is canonical JSON of an object and begins with "{"; this message begins with the name of its format, and its
// first line can be no part of metadata. A signature made here verifies for no role, and none made for a role verifies
// here, whatever the transcripts say.
import { sha256Hex } from '../src/lib/bytes.ts';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { canonicalJson } from '../src/tuf/canonical-json.ts';
import { parseStrictJson } from '../src/tuf/json.ts';
import { parsePublicKey } from '../src/tuf/keys.ts';
import type { Signature } from '../src/tuf/metadata.ts';
import { asInteger, asList, asMap, asString, distinct, field, onlyFields } from '../src/tuf/shape.ts';
import type { PublicPart } from './public-key-file.ts';
import { headAt, type TranscriptOfComputer } from './transcript-set.ts';
import { TRANSCRIPT_FILE } from './transcript.ts';

export const TRANSCRIPT_SIGNATURE_FORMAT = 'countersign-transcript-signature/1';

const HEX_64 = /^[0-9a-f]{64}$/;
/** Bytes; 64 computers. */
export const MAX_TRANSCRIPT_SIGNATURE_BYTES = 32 * 1024;

/** What a holder attests: these transcripts, up to these lines. */
export interface TranscriptStatement {
  readonly ceremony: string;
  readonly transcripts: readonly { readonly id: string; readonly lines: number; readonly head: string }[];
}

export interface TranscriptSignature {
  readonly statement: TranscriptStatement;
  readonly signature: Signature;
}

/**
 * The statement about transcripts as they stand now.
 * @throws CountersignError `transcript-invalid` when there is none, or they belong to different ceremonies; also when the
 *   one that is still written to here ends with a line that is cut off, which its next line accounts for.
 */
export function statementOf(transcripts: readonly TranscriptOfComputer[]): TranscriptStatement {
  const [first] = transcripts;
  if (first === undefined) throw invalid('there is no transcript to sign');
  for (const { file, ceremony, verified } of transcripts) {
    if (ceremony !== first.ceremony) {
      throw invalid(`${file} is of the ceremony ${ceremony}, ${first.file} of ${first.ceremony}`);
    }
    // What another computer left so, or a stick, stays so: nobody can append there. What was lost counts for nothing.
    if (verified.torn !== undefined && file === TRANSCRIPT_FILE) {
      throw invalid(`${file} ends with a line that is cut off`);
    }
  }
  return {
    ceremony: first.ceremony,
    transcripts: transcripts.map(({ id, verified }) => ({
      id,
      lines: verified.lines.length,
      head: verified.head,
    })),
  };
}

/** What is signed. */
export function statementMessage(statement: TranscriptStatement): Buffer {
  return Buffer.from(`${TRANSCRIPT_SIGNATURE_FORMAT}\n${canonicalJson({ ...statement })}\n`);
}

export function statementDigest(statement: TranscriptStatement): string {
  return sha256Hex(statementMessage(statement));
}

/** The file of a signature, `signatures/transcript.KEYID.json`. */
export function transcriptSignatureFile({ statement, signature }: TranscriptSignature): Buffer {
  const { keyid, sig } = signature;
  return Buffer.from(`${canonicalJson({ format: TRANSCRIPT_SIGNATURE_FORMAT, ...statement, keyid, sig })}\n`);
}

/**
 * Reads the file of a signature; nothing is verified. `where` names it in messages.
 * @throws CountersignError `transcript-invalid`.
 */
export function parseTranscriptSignature(bytes: Uint8Array, where: string): TranscriptSignature {
  try {
    const limits = { maxBytes: MAX_TRANSCRIPT_SIGNATURE_BYTES, maxDepth: 4 };
    const map = asMap({ value: parseStrictJson(bytes, limits), where });
    onlyFields(map, where, ['format', 'ceremony', 'transcripts', 'keyid', 'sig']);
    asString(field(map, where, 'format'), new RegExp(`^${TRANSCRIPT_SIGNATURE_FORMAT}$`));
    const transcripts = asList(field(map, where, 'transcripts')).map((value, index) => {
      const place = `${where}.transcripts[${index}]`;
      const entry = asMap({ value, where: place });
      onlyFields(entry, place, ['id', 'lines', 'head']);
      return {
        id: asString(field(entry, place, 'id'), /^[0-9a-f]{16}$/),
        lines: asInteger(field(entry, place, 'lines'), 1),
        head: asString(field(entry, place, 'head'), HEX_64),
      };
    });
    distinct(
      transcripts.map(({ id }) => id),
      `${where}.transcripts`,
    );
    return {
      statement: { ceremony: asString(field(map, where, 'ceremony')), transcripts },
      signature: {
        keyid: asString(field(map, where, 'keyid'), HEX_64),
        sig: asString(field(map, where, 'sig'), /^(?:[0-9a-f]{2}){1,1024}$/),
      },
    };
  } catch (cause) {
    if (!(cause instanceof CountersignError)) throw cause;
    throw invalid(`${where}: ${messageOf(cause)}`, cause);
  }
}

/**
 * Verifies a signature under transcripts that may have grown since.
 * @throws CountersignError `transcript-invalid` when the key is none of `keys`, the signature is wrong, or a transcript
 *   is missing, shorter than what was signed, or another one.
 */
export async function checkTranscriptSignature(
  { statement, signature }: TranscriptSignature,
  keys: readonly PublicPart[],
  transcripts: readonly TranscriptOfComputer[],
): Promise<void> {
  const by = `the signature of key ${signature.keyid}`;
  const key = keys.find(({ keyid }) => keyid === signature.keyid);
  if (key === undefined) throw invalid(`${by} under the transcripts is of no holder`);
  const valid = await parsePublicKey(key.key).verify(
    statementMessage(statement),
    Buffer.from(signature.sig, 'hex'),
  );
  if (!valid) throw invalid(`${by} under the transcripts does not verify`);
  for (const { id, lines, head } of statement.transcripts) {
    const transcript = transcripts.find((other) => other.id === id);
    if (transcript === undefined)
      throw invalid(`${by} covers the transcript ${id}, which is not in the folder`);
    if (transcript.ceremony !== statement.ceremony) {
      throw invalid(
        `${by} is for the ceremony ${statement.ceremony}, ${transcript.file} is of ${transcript.ceremony}`,
      );
    }
    const found = headAt(transcript.verified, lines);
    if (found === head) continue;
    throw invalid(
      found === undefined
        ? `${transcript.file} has ${transcript.verified.lines.length} lines, ${by} covers ${lines}`
        : `line ${lines} of ${transcript.file} has SHA-256 ${found}, ${by} covers ${head}`,
    );
  }
}

function invalid(problem: string, cause?: unknown): CountersignError {
  return new CountersignError('transcript-invalid', problem, cause === undefined ? {} : { cause });
}
