// Reads the folder of a ceremony. Whatever is in it was carried from computer to computer: each file is parsed strictly
// and checked against the others before anything follows from it.
import { sha256Hex } from '../src/lib/bytes.ts';
import { CountersignError, hasCode, messageOf } from '../src/lib/errors.ts';
import { parseBundle, verifyBundle, type VerifiedBundle } from '../src/tuf/bundle.ts';
import { verifyEnvelope } from '../src/tuf/threshold.ts';
import type { Ceremony, PreviousCeremony } from './ceremony.ts';
import { FILES, MAX_BYTES, readIfPresent, readRequired } from './ceremony-folder.ts';
import { checkOneTime } from './check-one-time.ts';
import { parseOneTime } from './one-time-file.ts';
import { parsePlan } from './parse-plan.ts';
import type { Plan } from './plan.ts';
import {
  parseHolderPublicKey,
  parseOnlinePublicKey,
  type HolderPublicKey,
  type PublicPart,
} from './public-key-file.ts';

/**
 * Reads the folder of a ceremony.
 * @throws CountersignError `ceremony-aborted`; `plan-invalid`; `ceremony-file-missing`, `ceremony-file-invalid`,
 *   `ceremony-mismatch` that name the file.
 */
export async function loadCeremony(folder: string): Promise<Ceremony> {
  await refuseAborted(folder);
  const planBytes = await readRequired(folder, FILES.plan, MAX_BYTES.plan);
  const plan = parsePlan(planBytes);
  const previousBytes = await readIfPresent(folder, FILES.previous, MAX_BYTES.bundle);
  const previous = await readPrevious(plan, previousBytes);
  const oneTimeBytes = await readIfPresent(folder, FILES.oneTime, MAX_BYTES.oneTime);
  const ceremony: Ceremony = {
    folder,
    plan,
    ...(previous === undefined ? {} : { previous }),
    holders: await Promise.all(plan.holders.map((holder) => readHolder(folder, holder))),
    online: await Promise.all(plan.online.map((file) => readOnline(folder, file))),
    origin: {
      plan: sha256Hex(planBytes),
      ...(previousBytes === undefined ? {} : { previous: sha256Hex(previousBytes) }),
      ...(oneTimeBytes === undefined ? {} : { oneTime: sha256Hex(oneTimeBytes) }),
    },
    ...(oneTimeBytes === undefined ? {} : { oneTime: parseOneTime(oneTimeBytes) }),
  };
  await checkOneTime(ceremony);
  return ceremony;
}

/**
 * @throws CountersignError `ceremony-aborted` that tells the reason.
 */
export async function refuseAborted(folder: string): Promise<void> {
  const reason = await readIfPresent(folder, FILES.aborted, MAX_BYTES.aborted);
  if (reason === undefined) return;
  const [first = ''] = reason.toString('utf8').split('\n');
  throw new CountersignError(
    'ceremony-aborted',
    `the ceremony in ${folder} was aborted: ${first.slice(0, 500).replace(/\p{Cc}/gu, ' ')}`,
  );
}

async function readPrevious(plan: Plan, bytes: Buffer | undefined): Promise<PreviousCeremony | undefined> {
  if (plan.kind === 'genesis') {
    if (bytes === undefined) return undefined;
    throw new CountersignError(
      'ceremony-mismatch',
      `the plan is a genesis, but there is a ${FILES.previous}: a repository has one genesis only`,
    );
  }
  if (bytes === undefined) {
    throw new CountersignError(
      'ceremony-file-missing',
      `${FILES.previous} is not there: an update follows the bundle of the ceremony before`,
    );
  }
  return readPreviousBundle(bytes);
}

/**
 * The bundle of the ceremony before, as people brought it.
 * @throws CountersignError `ceremony-file-invalid`.
 */
export async function readPreviousBundle(bytes: Buffer): Promise<PreviousCeremony> {
  try {
    const bundle = parseBundle(bytes);
    // Time 0: what has expired is renewed by this very ceremony. Everything else is checked.
    const verified = await verifyBundle(bundle, 0);
    return { bundle, verified, targetsSigners: await targetsSigners(verified) };
  } catch (cause) {
    if (!(cause instanceof CountersignError)) throw cause;
    throw new CountersignError('ceremony-file-invalid', `${FILES.previous}: ${messageOf(cause)}`, { cause });
  }
}

/** The keys of root that signed targets, each by itself: one that did not sign is none that clients need. */
async function targetsSigners({ trusted: { root, targets } }: VerifiedBundle): Promise<string[]> {
  const { keys, roles } = root.signed;
  const signed = await Promise.all(
    roles.targets.keyids.map((keyid) =>
      verifyEnvelope('targets', { keys, keyids: [keyid], threshold: 1 }, targets).then(
        () => [keyid],
        (error: unknown) => {
          if (hasCode(error, 'signature-invalid')) return [];
          throw error;
        },
      ),
    ),
  );
  return signed.flat();
}

async function readHolder(
  folder: string,
  { name, keyFile }: { readonly name: string; readonly keyFile: string },
): Promise<HolderPublicKey> {
  const holder = parseHolderPublicKey(await readRequired(folder, keyFile, MAX_BYTES.publicKey), keyFile);
  if (holder.name === name) return holder;
  throw new CountersignError(
    'ceremony-mismatch',
    `${keyFile} is the key of ${holder.name}, but the plan gives it to ${name}`,
  );
}

async function readOnline(folder: string, file: string): Promise<PublicPart> {
  return parseOnlinePublicKey(await readRequired(folder, file, MAX_BYTES.publicKey), file);
}
