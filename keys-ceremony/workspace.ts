// The state of a ceremony on this computer: what is to be signed, by whom, and who has. Every command from `sign` on
// begins here, and so begins by making the payload anew.
import { CountersignError } from '../src/lib/errors.ts';
import { proposalSource, type Ceremony } from './ceremony.ts';
import type { Finding } from './finding.ts';
import { lintedPayload, type Linted } from './lint.ts';
import { loadCeremony } from './load-ceremony.ts';
import { requirePayloadFile } from './payload-file.ts';
import type { Payload } from './payload.ts';
import type { ProposalSource } from './propose.ts';
import { readSignatures, type SignatureFiles } from './signatures.ts';
import {
  progressLines,
  progressOf,
  signingGroups,
  type GroupProgress,
  type SigningGroup,
} from './signing-groups.ts';
import { readTranscripts } from './transcript-set.ts';

export interface Workspace {
  readonly ceremony: Ceremony;
  readonly source: ProposalSource;
  readonly payload: Linted<Payload>;
  readonly warnings: readonly Finding[];
  readonly groups: readonly SigningGroup[];
  readonly signatures: SignatureFiles;
  readonly progress: readonly GroupProgress[];
}

/**
 * Reads the folder, makes the payload, compares it with payload.json, and verifies transcripts and signatures.
 * @throws CountersignError what loadCeremony, lintedPayload, requirePayloadFile and readTranscripts throw.
 */
export async function openWorkspace(folder: string): Promise<Workspace> {
  const ceremony = await loadCeremony(folder);
  await readTranscripts(folder);
  const { payload, warnings } = lintedPayload(ceremony);
  await requirePayloadFile(folder, payload);
  return { ...(await readState(ceremony, payload)), payload, warnings };
}

/** The signatures and what they add up to. */
export async function readState(
  ceremony: Ceremony,
  payload: Payload,
): Promise<Pick<Workspace, 'ceremony' | 'source' | 'groups' | 'signatures' | 'progress'>> {
  const source = proposalSource(ceremony);
  const groups = signingGroups(source, payload.proposal);
  const signatures = await readSignatures(ceremony.folder, payload, groups);
  return { ceremony, source, groups, signatures, progress: progressOf(groups, signatures.verified) };
}

/**
 * @throws CountersignError `ceremony-mismatch` when the folder holds a signature that is not of this payload;
 *   `ceremony-incomplete` that tells how far each role is and who is missing.
 */
export function requireComplete({ ceremony, signatures, progress }: Workspace): void {
  const [refused] = signatures.refused;
  if (refused !== undefined) throw new CountersignError('ceremony-mismatch', refused.problem);
  if (progress.every(({ complete }) => complete)) return;
  throw new CountersignError(
    'ceremony-incomplete',
    `signatures are missing: ${missingLines(ceremony, progress).join('; ')}; ${progressLines(progress).join('; ')}`,
  );
}

/** Who could still sign a role that is not complete: holders of the plan by name, one who leaves by key id. */
export function missingNames({ holders }: Ceremony, progress: readonly GroupProgress[]): string[] {
  const keyids = progress.filter(({ complete }) => !complete).flatMap(({ missing }) => missing);
  return namesOf(holders, keyids);
}

/** `1 more of holder-2, holder-4 (new keys)`, one text a group that is not complete. */
export function missingLines({ holders }: Ceremony, progress: readonly GroupProgress[]): string[] {
  return progress
    .filter(({ complete }) => !complete)
    .map(({ label, trust, signed, missing }) => {
      const which = label === 'keys' ? '' : ` (${label})`;
      return `${trust.threshold - signed.length} more of ${namesOf(holders, missing).join(', ')}${which}`;
    });
}

function namesOf(holders: Ceremony['holders'], keyids: readonly string[]): string[] {
  const names = new Map(holders.map(({ keyid, name }) => [keyid, name]));
  return [...new Set(keyids)].map((keyid) => names.get(keyid) ?? `the one who leaves, key ${keyid}`);
}
