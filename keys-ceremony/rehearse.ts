// countersign-ceremony rehearse: a whole first ceremony in one go, with keys that may be thrown away, to try countersign
// out or to practise. The roles, thresholds and checks are those of a real ceremony; only the people are missing.
import { envelopeFile } from '../src/tuf/envelope.ts';
import { encryptPrivateKey } from '../src/lib/passphrase-file.ts';
import { BinLayout } from '../src/tuf/bins.ts';
import { parseBundle, serializeBundle, verifyBundle, checkOnlineKey } from '../src/tuf/bundle.ts';
import type { DelegationFormat } from '../src/tuf/delegations.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { CeremonyKey, type RandomSource } from './ceremony-key.ts';
import { CEREMONY_DEFAULTS, MAX_HOLDERS } from './defaults.ts';
import { signGenesis } from './genesis.ts';
import { secondOpinion } from './second-opinion.ts';
import { OutputFolder, PUBLIC_MODE, SECRET_MODE, type WrittenFile } from './write-once.ts';

export interface Rehearsal {
  /** Where everything goes: a new or an empty folder. */
  readonly out: string;
  readonly holders: number;
  readonly threshold: number;
  readonly bins: number;
  readonly format: DelegationFormat;
}

export interface RehearsalTools {
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly random: RandomSource;
  /** One line for the person in front of the screen. */
  readonly say: (line: string) => void;
}

export interface RehearsalResult {
  readonly out: string;
  readonly files: readonly WrittenFile[];
  readonly keys: readonly { readonly role: string; readonly keyid: string }[];
  readonly onlineKeyid: string;
  readonly bins: { readonly count: number; readonly format: DelegationFormat };
  /** Commands to run now, in the folder. */
  readonly next: readonly string[];
}

/**
 * Rehearses a ceremony.
 * @throws CountersignError `usage` for numbers that cannot work, `file-exists` when the folder holds anything,
 *   `bundle-invalid` when a check refuses what was made (nothing of it has been written then).
 */
export async function rehearse(rehearsal: Rehearsal, tools: RehearsalTools): Promise<RehearsalResult> {
  const { say, random, now } = tools;
  const layout = checkNumbers(rehearsal);
  const folder = await OutputFolder.create(rehearsal.out);
  say(`folder ${rehearsal.out} is empty and readable by its owner only`);

  const keys = await makeKeys(rehearsal, random);
  say(`made ${rehearsal.holders} root keys; ${rehearsal.threshold} of them sign a root`);
  say(
    `made ${keys.targets.length} one-time keys for targets and ${keys.bins.length} for bins; all of them sign`,
  );
  say(`made the online key ${keys.online.keyid}`);

  const signed = await signGenesis({
    rootKeys: keys.root,
    rootThreshold: rehearsal.threshold,
    targetsKeys: keys.targets,
    binsKeys: keys.bins,
    onlineKey: keys.online.publicKey,
    onlineKeyid: keys.online.keyid,
    layout,
    format: rehearsal.format,
    expires: {
      root: now + CEREMONY_DEFAULTS.rootLifetimeMs,
      targets: now + CEREMONY_DEFAULTS.targetsLifetimeMs,
      bins: now + CEREMONY_DEFAULTS.binsLifetimeMs,
    },
  });
  // PEP 458 recommends that the keys of targets and bins are destroyed after the ceremony.
  for (const key of [...keys.targets, ...keys.bins]) key.forget();
  say('signed root, targets and bins; node:crypto verified every signature; the one-time keys are gone');

  // From the bytes that will be written, not from what is in memory.
  const bundleBytes = serializeBundle(signed);
  const bundle = parseBundle(bundleBytes);
  const verified = await verifyBundle(bundle, now);
  checkOnlineKey(verified, keys.online.keyid);
  say('verified the bundle as a client would, from its first root');
  secondOpinion(verified);
  const seen = rehearsal.format === 'succinct' ? 'root, targets and bins' : 'root and targets';
  say(`@tufjs/models verified ${seen} independently`);

  await writeKeys(folder, keys, random);
  keys.online.forget();
  for (const key of keys.root) key.forget();
  await folder.folder('files');
  await folder.write('countersign.yaml', CONFIGURATION, PUBLIC_MODE);
  await folder.write('root.json', envelopeFile(verified.trusted.root), PUBLIC_MODE);
  // Last: a folder with a bundle is a complete one.
  await folder.write('bundle.json', bundleBytes, PUBLIC_MODE);
  await folder.sync();
  for (const { name, sha256 } of folder.written) {
    say(`wrote ${name}${sha256 === undefined ? ' (secret)' : ` sha256 ${sha256}`}`);
  }
  return {
    out: rehearsal.out,
    files: folder.written,
    keys: [
      ...keys.root.map(({ keyid }) => ({ role: 'root', keyid })),
      ...keys.targets.map(({ keyid }) => ({ role: 'targets', keyid })),
      ...keys.bins.map(({ keyid }) => ({ role: 'bins', keyid })),
      { role: 'online', keyid: keys.online.keyid },
    ],
    onlineKeyid: keys.online.keyid,
    bins: { count: layout.count, format: rehearsal.format },
    next: ['countersign bootstrap bundle.json', 'countersign serve'],
  };
}

function checkNumbers({ holders, threshold, bins }: Rehearsal): BinLayout {
  if (holders < 1 || holders > MAX_HOLDERS) {
    throw new CountersignError('usage', `holders is ${holders}, expected 1 to ${MAX_HOLDERS}`);
  }
  if (threshold < 1 || threshold > holders) {
    throw new CountersignError(
      'usage',
      `threshold is ${threshold}, expected 1 to ${holders}, the number of holders`,
    );
  }
  try {
    return new BinLayout(bins);
  } catch (cause) {
    if (!(cause instanceof CountersignError)) throw cause;
    throw new CountersignError('usage', cause.message, { cause });
  }
}

interface RehearsalKeys {
  readonly root: readonly CeremonyKey[];
  readonly targets: readonly CeremonyKey[];
  readonly bins: readonly CeremonyKey[];
  readonly online: CeremonyKey;
}

async function makeKeys({ holders }: Rehearsal, random: RandomSource): Promise<RehearsalKeys> {
  const several = (count: number): Promise<CeremonyKey[]> =>
    Promise.all(Array.from({ length: count }, () => CeremonyKey.generate(random)));
  return {
    root: await several(holders),
    targets: await several(CEREMONY_DEFAULTS.oneTimeKeys),
    bins: await several(CEREMONY_DEFAULTS.oneTimeKeys),
    online: await CeremonyKey.generate(random),
  };
}

async function writeKeys(folder: OutputFolder, keys: RehearsalKeys, random: RandomSource): Promise<void> {
  await folder.folder('holders');
  const width = String(keys.root.length).length;
  for (const [index, key] of keys.root.entries()) {
    const holder = `holders/holder-${String(index + 1).padStart(width, '0')}`;
    await folder.folder(holder);
    await writeKey(folder, `${holder}/root`, key, random, CEREMONY_DEFAULTS.rehearsalWorkFactor);
  }
  await writeKey(folder, 'online', keys.online, random, CEREMONY_DEFAULTS.onlineWorkFactor);
}

async function writeKey(
  folder: OutputFolder,
  name: string,
  key: CeremonyKey,
  random: RandomSource,
  workFactor: number,
): Promise<void> {
  const passphrase = Buffer.from(random(PASSPHRASE_BYTES)).toString('base64url');
  await folder.write(`${name}.passphrase`, `${passphrase}\n`, SECRET_MODE);
  await folder.write(
    `${name}.key`,
    await encryptPrivateKey(key.privateKey(), passphrase, workFactor),
    SECRET_MODE,
  );
}

/** Bytes of randomness in a passphrase that no person has to remember. */
const PASSPHRASE_BYTES = 32;

const CONFIGURATION = `# A countersign installation from a rehearsed ceremony. "countersign init" writes a file that explains every setting.
store: file:./repository
ledger: sqlite:./ledger.db
signer: file:./online.key
signer-passphrase: ./online.passphrase
targets: file:./files
listen: 127.0.0.1:8458
`;
