// Plays a whole plan before it is held: every command, in the order of the day, on one folder for each holder, with keys
// that are made for the rehearsal and gone after it. What the plan gets wrong shows here, when nothing is at stake.
import { cp } from 'node:fs/promises';
import path from 'node:path';
import { CountersignError } from '../src/lib/errors.ts';
import { serializeBundle, parseBundle, verifyBundle, type VerifiedBundle } from '../src/tuf/bundle.ts';
import type { Envelope } from '../src/tuf/envelope.ts';
import { CeremonyKey, type RandomSource } from './ceremony-key.ts';
import { FILES, MAX_BYTES, readIfPresent, readRegularFile } from './ceremony-folder.ts';
import { CEREMONY_DEFAULTS } from './defaults.ts';
import type { Finding } from './finding.ts';
import type { HolderKey } from './holder-key.ts';
import { requireNoRefusal } from './lint.ts';
import { parsePlan } from './parse-plan.ts';
import { makePayload, type OfflineRole } from './payload.ts';
import type { Plan, PlannedSigners } from './plan.ts';
import { binsForm, propose, type ProposalSource } from './propose.ts';
import {
  holderPublicKeyFile,
  parseHolderPublicKey,
  parseOnlinePublicKey,
  type HolderPublicKey,
  type PublicPart,
} from './public-key-file.ts';
import { rolesOfKey, signingGroups } from './signing-groups.ts';
import { loadCeremony } from './load-ceremony.ts';
import { proposalSource } from './ceremony.ts';
import { OutputFolder } from './write-once.ts';
import { writeOnce } from './write-file.ts';

const DAY_MS = 86_400_000;

export interface PlanRehearsal {
  /** The plan, absolute; the files that it names are read when they lie beside it. */
  readonly plan: string;
  /** Where everything goes, absolute: a new or an empty folder. */
  readonly out: string;
}

export interface PlanRehearsalTools {
  readonly random: RandomSource;
  /** One line for the person in front of the screen. */
  readonly say: (line: string) => void;
  /** Runs a command of this program in a folder, opening keys with `openKey`; its JSON document. */
  readonly perform: (
    folder: string,
    args: readonly string[],
    openKey: (reference: string) => Promise<HolderKey>,
  ) => Promise<Readonly<Record<string, unknown>>>;
}

export interface PlanRehearsalResult {
  readonly ceremony: string;
  readonly out: string;
  /** The commands that were run, in order, each with whose computer it was. */
  readonly steps: readonly string[];
  readonly signers: readonly string[];
  readonly bundle: { readonly file: string; readonly sha256: string };
}

/**
 * Rehearses a plan. An update follows a stand-in for the bundle before it: with the thresholds, keys and bins of
 * previous.json when that lies beside the plan, otherwise with those of the plan itself.
 * @throws CountersignError whatever a step refuses; `plan-invalid`, `file-exists`.
 */
export async function rehearsePlan(
  { plan: file, out }: PlanRehearsal,
  tools: PlanRehearsalTools,
): Promise<PlanRehearsalResult> {
  const planBytes = await readRegularFile(file, MAX_BYTES.plan);
  if (planBytes === undefined) throw new CountersignError('ceremony-file-missing', `${file} is not there`);
  const plan = parsePlan(planBytes);
  const cast = new Cast(tools.random);
  const before = await readBefore(path.dirname(file), plan);
  await OutputFolder.create(out);
  const office = path.join(out, 'office');
  await writeOnce(office, FILES.plan, planBytes);
  for (const { name, keyFile } of plan.holders) {
    await writeOnce(office, keyFile, holderPublicKeyFile(await cast.holder(name)));
  }
  for (const online of plan.online) {
    const { keyid, key } = await cast.part(onlineName(online));
    await writeOnce(office, online, `${JSON.stringify({ keyid, key }, null, 2)}\n`);
  }
  if (plan.kind === 'update') await writeOnce(office, FILES.previous, await standIn(plan, before, cast));
  const steps: string[] = [];
  const step = async (who: string, ...args: string[]): Promise<Readonly<Record<string, unknown>>> => {
    const line = `${who}: ${args.map((arg) => (arg.includes(' ') ? `"${arg}"` : arg)).join(' ')}`;
    tools.say(line);
    steps.push(line);
    return tools.perform(path.join(out, who), args, (reference) => cast.open(path.basename(reference)));
  };
  const { findings } = await step('office', 'plan', 'check');
  requireNoRefusal(findings as readonly Finding[]);
  const once = [plan.targets, plan.bins].some((role) => role !== 'keep' && role.signers.use === 'one-time');
  if (once) await step('office', 'one-time');
  const { phrase } = await step('office', 'build');
  const signers = await signersOf(office, cast);
  for (const signer of signers) {
    await cp(office, path.join(out, 'holders', signer), {
      recursive: true,
      filter: (name) => !path.basename(name).startsWith('transcript'),
    });
    await step(`holders/${signer}`, 'build');
    await step(`holders/${signer}`, 'sign', '--key', signer, '--code', String(phrase));
  }
  await step('office', 'merge', ...signers.map((signer) => path.join('..', 'holders', signer)));
  await step('office', 'verify');
  const { sha256 } = await step('office', 'bundle');
  return {
    ceremony: plan.ceremony,
    out,
    steps,
    signers,
    bundle: { file: path.join(office, FILES.bundle), sha256: String(sha256) },
  };
}

/** The people of a rehearsal, each with a key that is made when it is first needed. */
class Cast {
  readonly #random: RandomSource;
  readonly #keys = new Map<string, Promise<CeremonyKey>>();

  constructor(random: RandomSource) {
    this.#random = random;
  }

  key(name: string): Promise<CeremonyKey> {
    const known = this.#keys.get(name);
    if (known !== undefined) return known;
    const made = CeremonyKey.generate(this.#random);
    this.#keys.set(name, made);
    return made;
  }

  async part(name: string): Promise<PublicPart> {
    const { keyid, publicKey } = await this.key(name);
    return { keyid, key: publicKey };
  }

  async holder(name: string): Promise<HolderPublicKey> {
    return { name, ...(await this.part(name)), made: 'file' };
  }

  /** As often as it is asked for: the key stays until the rehearsal ends. */
  async open(name: string): Promise<HolderKey> {
    const key = await this.key(name);
    return {
      keyid: key.keyid,
      publicKey: key.publicKey,
      origin: 'file',
      sign: (message) => key.sign(message),
      forget: () => undefined,
    };
  }

  async nameOf(keyid: string): Promise<string | undefined> {
    for (const [name, key] of this.#keys) if ((await key).keyid === keyid) return name;
    return undefined;
  }
}

/** Everybody whose key signs anything, holders who leave included. */
async function signersOf(office: string, cast: Cast): Promise<string[]> {
  const source = proposalSource(await loadCeremony(office));
  const groups = signingGroups(source, propose(source));
  const keyids = [...new Set(groups.flatMap(({ trust }) => trust.keyids))];
  const names = await Promise.all(
    keyids.map(async (keyid) => (rolesOfKey(groups, keyid).length === 0 ? undefined : cast.nameOf(keyid))),
  );
  return names.filter((name) => name !== undefined);
}

/** Who was there before: names of the plan where a key is the same, others numbered. */
interface Before {
  readonly threshold: number;
  readonly holders: readonly string[];
  readonly online: readonly string[];
  readonly bins: ReturnType<typeof binsForm>;
}

async function readBefore(folder: string, plan: Plan): Promise<Before | undefined> {
  const bytes = await readIfPresent(folder, FILES.previous, MAX_BYTES.bundle);
  if (bytes === undefined || plan.kind === 'genesis') return undefined;
  const { trusted }: VerifiedBundle = await verifyBundle(parseBundle(bytes), 0);
  const names = new Map<string, string>();
  for (const { name, keyFile } of plan.holders) {
    const key = await readIfPresent(folder, keyFile, MAX_BYTES.publicKey);
    if (key !== undefined) names.set(parseHolderPublicKey(key, keyFile).keyid, name);
  }
  for (const file of plan.online) {
    const key = await readIfPresent(folder, file, MAX_BYTES.publicKey);
    if (key !== undefined) names.set(parseOnlinePublicKey(key, file).keyid, onlineName(file));
  }
  const { root, timestamp } = trusted.root.signed.roles;
  return {
    threshold: root.threshold,
    holders: root.keyids.map((keyid, index) => names.get(keyid) ?? `former-${index + 1}`),
    online: timestamp.keyids.map((keyid, index) => names.get(keyid) ?? `former-online-${index + 1}`),
    bins: binsForm(trusted.bins.signed),
  };
}

/** A bundle as the ceremony before could have made it, signed by the cast. */
async function standIn(plan: Plan, known: Before | undefined, cast: Cast): Promise<Buffer> {
  const before = known ?? beforeLike(plan);
  const lifetimeMs = plan.nextCeremony - plan.date + 90 * DAY_MS;
  const oneTime = (role: 'targets' | 'bins'): PlannedSigners => {
    const planned = plan[role];
    if (planned !== 'keep' && planned.signers.use === 'holders') return planned.signers;
    return { use: 'one-time', keys: CEREMONY_DEFAULTS.oneTimeKeys };
  };
  const once = async (role: 'targets' | 'bins'): Promise<PublicPart[]> => {
    const signers = oneTime(role);
    const count = signers.use === 'one-time' ? signers.keys : 0;
    return Promise.all(Array.from({ length: count }, (_, index) => cast.part(`${role}-${index + 1}`)));
  };
  const names = [...new Set([...before.holders, ...plan.holders.map(({ name }) => name)])];
  const source: ProposalSource = {
    plan: {
      ...plan,
      kind: 'genesis',
      date: plan.date - DAY_MS,
      root: { threshold: before.threshold, lifetimeMs, holders: before.holders },
      targets: { signers: oneTime('targets'), lifetimeMs, overlap: true },
      bins: { signers: oneTime('bins'), lifetimeMs, ...before.bins },
    },
    targetsSigners: [],
    retired: [],
    holders: await Promise.all(names.map((name) => cast.holder(name))),
    online: await Promise.all(before.online.map((name) => cast.part(name))),
    oneTime: { targets: await once('targets'), bins: await once('bins') },
  };
  const proposal = propose(source);
  const { root, targets, bins } = proposal;
  if (root === undefined || targets === undefined || bins === undefined) {
    throw new CountersignError('internal', 'a stand-in for the ceremony before lacks a role');
  }
  const { signedBytes } = makePayload(proposal, { plan: '' });
  const signed = async <T>(role: OfflineRole, value: T, keyids: readonly string[]): Promise<Envelope<T>> => {
    const bytes = signedBytes.get(role) ?? Buffer.alloc(0);
    const keys = await Promise.all(
      keyids.map(async (keyid) => cast.open((await cast.nameOf(keyid)) ?? keyid)),
    );
    return {
      signed: value,
      signedBytes: bytes,
      signatures: await Promise.all(keys.map((key) => key.sign(bytes))),
    };
  };
  return serializeBundle({
    roots: [await signed('root', root, root.roles.root.keyids)],
    targets: await signed('targets', targets, root.roles.targets.keyids),
    bins: await signed('bins', bins, targets.delegations?.roles?.[0]?.keyids ?? []),
  });
}

function beforeLike(plan: Plan): Before {
  const holders = plan.root === 'keep' ? plan.holders.map(({ name }) => name) : plan.root.holders;
  const bins =
    plan.bins === 'keep' ? { count: CEREMONY_DEFAULTS.bins, format: CEREMONY_DEFAULTS.format } : plan.bins;
  return {
    threshold: plan.root === 'keep' ? Math.max(1, holders.length) : plan.root.threshold,
    holders: holders.length === 0 ? ['former-1'] : holders,
    // The one that stays: the last of two replaces the first.
    online: plan.online.slice(0, 1).map(onlineName),
    bins: { count: bins.count, format: bins.format },
  };
}

/** No name of a holder: those have no slash. */
function onlineName(file: string): string {
  return `online/${file}`;
}
