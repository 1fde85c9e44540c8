// A ceremony as its folder holds it, once it was read: the plan and all that the plan rests on. What is to be signed is
// always made from here, on this computer; nobody's word is taken for it.
import path from 'node:path';
import { CountersignError } from '../src/lib/errors.ts';
import type { Bundle, VerifiedBundle } from '../src/tuf/bundle.ts';
import { FILES } from './ceremony-folder.ts';
import { ONE_TIME_ROLES, type OneTime, type OneTimeRole } from './one-time-file.ts';
import { makePayload, type Payload, type PayloadOrigin } from './payload.ts';
import type { Plan } from './plan.ts';
import { propose, type ProposalSource, type RetiredKey } from './propose.ts';
import type { HolderPublicKey, PublicPart } from './public-key-file.ts';

/** The bundle of the ceremony before, verified from its first root. */
export interface PreviousCeremony {
  readonly bundle: Bundle;
  readonly verified: VerifiedBundle;
  /** Ids of the keys whose signatures the published targets bears. */
  readonly targetsSigners: readonly string[];
}

/** What a ceremony is made from. */
export interface Ceremony {
  readonly folder: string;
  readonly plan: Plan;
  readonly previous?: PreviousCeremony;
  /** In the order of the plan. */
  readonly holders: readonly HolderPublicKey[];
  readonly online: readonly PublicPart[];
  readonly origin: PayloadOrigin;
  /** Once `one-time` has run. */
  readonly oneTime?: OneTime;
}

/** The roles whose keys live for this ceremony only. */
export function oneTimeRoles(plan: Plan): OneTimeRole[] {
  return ONE_TIME_ROLES.filter((role) => {
    const planned = plan[role];
    return planned !== 'keep' && planned.signers.use === 'one-time';
  });
}

/**
 * What the roles follow from.
 * @param oneTime public parts of one-time keys, when they are not those of one-time.json.
 * @throws CountersignError `ceremony-file-missing` when the plan asks for one-time keys and there are none.
 */
export function proposalSource(
  ceremony: Ceremony,
  oneTime?: Readonly<Partial<Record<OneTimeRole, readonly PublicPart[]>>>,
): ProposalSource {
  const keys = (role: OneTimeRole): readonly PublicPart[] => {
    if (!oneTimeRoles(ceremony.plan).includes(role)) return [];
    const found = oneTime?.[role] ?? ceremony.oneTime?.roles[role]?.keys;
    if (found !== undefined) return found;
    throw new CountersignError(
      'ceremony-file-missing',
      `${path.join(ceremony.folder, FILES.oneTime)} is not there: the plan signs ${role} with one-time keys`,
    );
  };
  const { plan, previous, holders, online } = ceremony;
  return {
    plan,
    ...(previous === undefined
      ? {}
      : {
          previous: {
            root: previous.verified.trusted.root.signed,
            targets: previous.verified.trusted.targets.signed,
            bins: previous.verified.trusted.bins.signed,
          },
        }),
    targetsSigners: previous?.targetsSigners ?? [],
    retired: retiredKeys(previous),
    holders,
    online,
    oneTime: { targets: keys('targets'), bins: keys('bins') },
  };
}

/** Keys that a root named and a later one left out. */
function retiredKeys(previous: PreviousCeremony | undefined): RetiredKey[] {
  const roots = previous?.bundle.roots.map(({ signed }) => signed) ?? [];
  return roots
    .slice(1)
    .flatMap((root, index) =>
      [...(roots[index]?.keys ?? [])].flatMap(([keyid, key]) =>
        root.keys.has(keyid) ? [] : [{ key, leftOutBy: root.version }],
      ),
    );
}

/**
 * The payload, made anew on this computer.
 * @throws CountersignError `ceremony-file-missing`.
 */
export function payloadOf(ceremony: Ceremony): Payload {
  return makePayload(propose(proposalSource(ceremony)), ceremony.origin);
}
