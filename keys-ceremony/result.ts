// The result of a ceremony: a bundle, verified as clients would verify it, whichever root they start from.
import { equalBytes } from '../src/lib/bytes.ts';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import {
  parseBundle,
  serializeBundle,
  verifyBundle,
  type Bundle,
  type VerifiedBundle,
} from '../src/tuf/bundle.ts';
import type { Envelope } from '../src/tuf/envelope.ts';
import type { Root, Signature } from '../src/tuf/metadata.ts';
import { TrustedSet } from '../src/tuf/trusted-set.ts';
import type { Ceremony } from './ceremony.ts';
import { lintProposal, requireNoRefusal, type Linted } from './lint.ts';
import type { OneTimeRole } from './one-time-file.ts';
import { OFFLINE_ROLES, type OfflineRole, type Payload } from './payload.ts';
import type { ProposalSource } from './propose.ts';
import { secondOpinion } from './second-opinion.ts';
import type { RoleSignature } from './signature-file.ts';

export interface CeremonyResult {
  readonly bytes: Buffer;
  readonly verified: VerifiedBundle;
  /** Versions of the roots from which a client was simulated. */
  readonly startedFrom: readonly number[];
  /** What an implementation of others said, in words. */
  readonly secondOpinion: string;
}

/**
 * Puts the bundle together and verifies it: its form, its chain from root 1, a client that starts from each root there
 * ever was, all rules once more on what came out, and the opinion of @tufjs/models.
 * @param now milliseconds since the epoch: nothing in the bundle may have expired then.
 * @throws CountersignError `bundle-invalid`, `plan-refused`.
 */
export async function makeResult(
  ceremony: Ceremony,
  source: ProposalSource,
  payload: Linted<Payload>,
  signatures: readonly RoleSignature[],
  now: number,
): Promise<CeremonyResult> {
  // From the bytes that will be written, not from what is in memory.
  const bytes = serializeBundle(assemble(ceremony, payload, signatures));
  const bundle = parseBundle(bytes);
  const verified = await verifyBundle(bundle, Math.max(now, ceremony.plan.date));
  checkSameBytes(bundle, payload);
  const root = bundle.roots.at(-1);
  requireNoRefusal(
    lintProposal(source, {
      ...(payload.proposal.root === undefined || root === undefined ? {} : { root: root.signed }),
      ...(payload.proposal.targets === undefined ? {} : { targets: bundle.targets.signed }),
      ...(payload.proposal.bins === undefined ? {} : { bins: bundle.bins.signed }),
    }),
  );
  const startedFrom = await startFromEveryRoot(verified, now);
  return { bytes, verified, startedFrom, secondOpinion: secondOpinion(verified) };
}

function assemble(ceremony: Ceremony, payload: Payload, signatures: readonly RoleSignature[]): Bundle {
  const { proposal, signedBytes } = payload;
  const before = ceremony.previous?.bundle;
  const envelope = <T>(role: OfflineRole, signed: T): Envelope<T> => ({
    signed,
    signedBytes: signedBytes.get(role) ?? Buffer.alloc(0),
    signatures: signaturesOf(ceremony, role, signatures),
  });
  const targets = proposal.targets === undefined ? before?.targets : envelope('targets', proposal.targets);
  const bins = proposal.bins === undefined ? before?.bins : envelope('bins', proposal.bins);
  if (targets === undefined || bins === undefined) {
    throw new CountersignError('internal', 'a genesis without targets or bins');
  }
  const roots: Envelope<Root>[] = [...(before?.roots ?? [])];
  if (proposal.root !== undefined) roots.push(envelope('root', proposal.root));
  return { roots, targets, bins };
}

/** In the order of the key ids: whoever merged in whichever order gets the same bundle. */
function signaturesOf(
  { oneTime }: Ceremony,
  role: OfflineRole,
  signatures: readonly RoleSignature[],
): Signature[] {
  const once = role === 'root' ? undefined : oneTime?.roles[role satisfies OneTimeRole];
  const own = signatures.filter((signature) => signature.role === role);
  return [...(once?.file.signatures ?? []), ...own.map(({ keyid, sig }) => ({ keyid, sig }))].toSorted(
    (a, b) => (a.keyid < b.keyid ? -1 : 1),
  );
}

/** What was signed is what was linted, to the byte. */
function checkSameBytes(bundle: Bundle, payload: Linted<Payload>): void {
  const made: Readonly<Record<OfflineRole, Envelope<unknown> | undefined>> = {
    root: bundle.roots.at(-1),
    targets: bundle.targets,
    bins: bundle.bins,
  };
  for (const role of OFFLINE_ROLES) {
    const linted = payload.signedBytes.get(role);
    if (linted === undefined || equalBytes(linted, made[role]?.signedBytes ?? Buffer.alloc(0))) continue;
    throw new CountersignError('internal', `${role} in the bundle is not the one that was linted`);
  }
}

/** A client of every age: it trusts root k and updates to the last one (TUF 5.3). */
async function startFromEveryRoot({ roots }: VerifiedBundle, now: number): Promise<number[]> {
  for (const [index, first] of roots.entries()) {
    try {
      const client = await TrustedSet.start(first.bytes, now);
      for (const next of roots.slice(index + 1)) await client.updateRoot(next.bytes);
      client.finishRoot();
    } catch (cause) {
      throw new CountersignError(
        'bundle-invalid',
        `a client that starts from root ${first.version} refuses: ${messageOf(cause)}`,
        { cause },
      );
    }
  }
  return roots.map(({ version }) => version);
}
