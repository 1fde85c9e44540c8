// The one-time keys of targets and bins: made, used for one signature each, verified, overwritten. They never leave this
// function, and nothing of them is written but what everybody may know.
import { formatExpires } from '../src/tuf/lifetimes.ts';
import type { Signature } from '../src/tuf/metadata.ts';
import { parsePublicKey } from '../src/tuf/keys.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { CeremonyKey, type RandomSource } from './ceremony-key.ts';
import { oneTimeRoles, proposalSource, type Ceremony } from './ceremony.ts';
import { lintProposal, requireNoRefusal } from './lint.ts';
import { oneTimeFile, type OneTimeContent, type OneTimeRole } from './one-time-file.ts';
import { makePayload } from './payload.ts';
import { propose } from './propose.ts';
import type { PublicPart } from './public-key-file.ts';

export interface OneTimeResult {
  readonly bytes: Buffer;
  readonly keyids: Readonly<Partial<Record<OneTimeRole, readonly string[]>>>;
}

/**
 * Makes one-time.json.
 * @param now milliseconds since the epoch, for the record of the destruction.
 * @throws CountersignError `usage` when the plan asks for no one-time keys, `plan-refused`.
 */
export async function makeOneTime(
  ceremony: Ceremony,
  random: RandomSource,
  now: number,
): Promise<OneTimeResult> {
  const roles = oneTimeRoles(ceremony.plan);
  if (roles.length === 0) throw new CountersignError('usage', 'the plan asks for no one-time keys');
  const keys = new Map<OneTimeRole, CeremonyKey[]>();
  try {
    for (const role of roles) {
      const planned = ceremony.plan[role];
      if (planned === 'keep' || planned.signers.use !== 'one-time') continue;
      const made: CeremonyKey[] = [];
      keys.set(role, made);
      for (let count = 0; count < planned.signers.keys; count += 1)
        made.push(await CeremonyKey.generate(random));
    }
    const parts = new Map([...keys].map(([role, made]) => [role, made.map(publicPart)] as const));
    const source = proposalSource(ceremony, Object.fromEntries(parts));
    const proposal = propose(source);
    requireNoRefusal(lintProposal(source, proposal));
    const { signedBytes } = makePayload(proposal, ceremony.origin);
    const content: [OneTimeRole, NonNullable<OneTimeContent['roles'][OneTimeRole]>][] = [];
    for (const [role, made] of keys) {
      const bytes = signedBytes.get(role) ?? Buffer.alloc(0);
      const signatures: Signature[] = [];
      for (const key of made) signatures.push(await signOnce(key, bytes));
      content.push([role, { keys: parts.get(role) ?? [], signedBytes: bytes, signatures }]);
    }
    const { plan, previous } = ceremony.origin;
    return {
      bytes: oneTimeFile({
        plan,
        ...(previous === undefined ? {} : { previous }),
        roles: Object.fromEntries(content),
        discardedAt: formatExpires(now),
      }),
      keyids: Object.fromEntries([...parts].map(([role, list]) => [role, list.map(({ keyid }) => keyid)])),
    };
  } finally {
    // PEP 458: destroyed. Also when a signature failed: the next attempt makes new ones.
    for (const key of [...keys.values()].flat()) key.forget();
  }
}

async function signOnce(key: CeremonyKey, bytes: Uint8Array): Promise<Signature> {
  const signature = await key.sign(bytes);
  key.forget();
  if (await parsePublicKey(key.publicKey).verify(bytes, Buffer.from(signature.sig, 'hex'))) return signature;
  throw new CountersignError('signer-invalid', `the signature of one-time key ${key.keyid} does not verify`);
}

function publicPart({ keyid, publicKey }: CeremonyKey): PublicPart {
  return { keyid, key: publicKey };
}
