// What a ceremony hands to the online service: every root, targets and bins, in one file (docs/bundle-format.md). It is
// verified as a client would, from its first root, before anything of it is used.
import { CountersignError } from '../lib/errors.ts';
import { MAX_METADATA_BYTES, MAX_ROOT_ROTATIONS } from './metadata-limits.ts';
import { binTrust, binsTrust, checkBinsReach, type BinsTrust, type DelegationFormat } from './delegations.ts';
import { envelopeFile, readEnvelope, type Envelope } from './envelope.ts';
import { METADATA_DEPTH, parseStrictJson } from './json.ts';
import type { BinLayout } from './bins.ts';
import type { RoleKeys, Root, Targets } from './metadata.ts';
import { ROOT } from './parse-root.ts';
import { BINS, TARGETS } from './parse-targets.ts';
import { asList, asMap, asString, field, onlyFields } from './shape.ts';
import { verifyEnvelope, type Verified } from './threshold.ts';
import { checkNotExpired, checkVersion, topLevelTrust, verifyNextRoot, type Moment } from './verify-roles.ts';

export const BUNDLE_FORMAT = 'countersign-bundle/1';

/** Bytes: fifty large roots, and targets and bins at their limits. */
export const MAX_BUNDLE_BYTES = 32 * 1024 * 1024;

/** A bundle whose form was checked, and nothing else. */
export interface Bundle {
  /** From version 1, without a gap. */
  readonly roots: readonly Envelope<Root>[];
  readonly targets: Envelope<Targets>;
  readonly bins: Envelope<Targets>;
}

/** A file of a bundle as it is to be published. */
export interface BundledFile {
  readonly version: number;
  readonly bytes: Buffer;
}

export interface VerifiedBundle {
  readonly roots: readonly BundledFile[];
  readonly targets: BundledFile;
  readonly bins: BundledFile;
  readonly layout: BinLayout;
  readonly format: DelegationFormat;
  /** Each of these keys alone can sign every online role: timestamp, snapshot and all bin-n roles. */
  readonly onlineKeyids: readonly string[];
  /** The proofs: the last root, targets, bins, and who may sign the bin-n roles. */
  readonly trusted: {
    readonly root: Verified<Envelope<Root>>;
    readonly targets: Verified<Envelope<Targets>>;
    readonly bins: Verified<Envelope<Targets>>;
    readonly binDelegation: BinsTrust;
  };
}

/**
 * Parses a bundle.
 * @throws CountersignError `bundle-invalid` that names the role and the place.
 */
export function parseBundle(bytes: Uint8Array): Bundle {
  return asBundleError(() => {
    const value = parseStrictJson(bytes, { maxBytes: MAX_BUNDLE_BYTES, maxDepth: METADATA_DEPTH });
    const where = 'bundle';
    const map = asMap({ value, where });
    onlyFields(map, where, ['format', 'roots', 'targets', 'bins']);
    asString(field(map, where, 'format'), new RegExp(`^${BUNDLE_FORMAT}$`));
    const roots = asList(field(map, where, 'roots'));
    if (roots.length < 1 || roots.length > MAX_ROOT_ROTATIONS) {
      throw refuse(`bundle.roots has ${roots.length} roots, expected 1 to ${MAX_ROOT_ROTATIONS}`);
    }
    return {
      roots: roots.map((root) => readEnvelope(ROOT, root)),
      targets: readEnvelope(TARGETS, asMap(field(map, where, 'targets'))),
      bins: readEnvelope(BINS, asMap(field(map, where, 'bins'))),
    };
  });
}

/** The file form of a bundle; the inverse of parseBundle. */
export function serializeBundle({ roots, targets, bins }: Bundle): Buffer {
  const list = roots.map((root) => envelopeFile(root).toString('utf8')).join(',\n');
  return Buffer.from(
    `{"format":"${BUNDLE_FORMAT}",\n"roots":[${list}],\n` +
      `"targets":${envelopeFile(targets).toString('utf8')},\n"bins":${envelopeFile(bins).toString('utf8')}}\n`,
  );
}

/**
 * Verifies a bundle as a client would that has only its first root: the chain of roots, the signatures of targets and
 * bins, expiry at `now` (milliseconds since the epoch); and what the service needs besides: online roles that one key
 * can sign, and no online key among the offline ones.
 * @throws CountersignError `bundle-invalid` that names the role and the rule.
 */
export async function verifyBundle(bundle: Bundle, now: number): Promise<VerifiedBundle> {
  const moment: Moment = { now, expiry: 'enforced' };
  try {
    const root = await verifyRoots(bundle.roots);
    checkNotExpired('root', root.signed.expires, moment);
    const targets = await verifyEnvelope('targets', topLevelTrust(root.signed, 'targets'), bundle.targets);
    checkNotExpired('targets', targets.signed.expires, moment);
    const targetsDelegation = binsTrust(targets.signed);
    checkBinsReach(targets.signed);
    const bins = await verifyEnvelope('bins', targetsDelegation, bundle.bins);
    checkNotExpired('bins', bins.signed.expires, moment);
    const binDelegation = binTrust(bins.signed);
    const verified = {
      roots: bundle.roots.map(publishable('root', MAX_METADATA_BYTES.root)),
      targets: publishable('targets', MAX_METADATA_BYTES.targets)(targets),
      bins: publishable('bins', MAX_METADATA_BYTES.targets)(bins),
      layout: binDelegation.layout,
      format: binDelegation.format,
      onlineKeyids: onlineKeyids(root.signed, binDelegation),
      trusted: { root, targets, bins, binDelegation },
    };
    checkSeparation(root.signed, targetsDelegation, binDelegation);
    return verified;
  } catch (error) {
    throw bundleError(error);
  }
}

/**
 * Checks that a signer's key may sign every online role.
 * @throws CountersignError `key-mismatch` that names the signer's key id, the role, and the key ids of that role.
 */
export function checkOnlineKey(verified: VerifiedBundle, keyid: string): void {
  const { root, binDelegation } = verified.trusted;
  for (const [role, { keyids }] of onlineRoles(root.signed, binDelegation)) {
    if (keyids.includes(keyid)) continue;
    throw new CountersignError(
      'key-mismatch',
      `the signer holds key ${keyid}, but ${role} is signed by ${keyids.join(' or ')}`,
      { details: { role, keyid } },
    );
  }
}

async function verifyRoots(roots: readonly Envelope<Root>[]): Promise<Verified<Envelope<Root>>> {
  const [first, ...rest] = roots;
  if (first === undefined) throw refuse('bundle.roots is empty');
  checkVersion('root', first.signed.version, 1);
  let trusted = await verifyEnvelope('root', topLevelTrust(first.signed, 'root'), first);
  for (const next of rest) {
    try {
      trusted = await verifyNextRoot(trusted.signed, next);
    } catch (error) {
      if (!(error instanceof CountersignError)) throw error;
      const place = `root ${trusted.signed.version + 1}`;
      throw new CountersignError(error.code, `${place}: ${error.message}`, { cause: error });
    }
  }
  return trusted;
}

function onlineRoles(root: Root, binDelegation: BinsTrust): readonly (readonly [string, RoleKeys])[] {
  return [
    ['timestamp', root.roles.timestamp],
    ['snapshot', root.roles.snapshot],
    [`${binDelegation.layout.name(0)} and all other bins`, binDelegation],
  ];
}

function onlineKeyids(root: Root, binDelegation: BinsTrust): string[] {
  const roles = onlineRoles(root, binDelegation);
  for (const [role, { threshold }] of roles) {
    // The service holds one key. A second one in the same process would be no second person.
    if (threshold !== 1) throw refuse(`role ${role} has threshold ${threshold}, an online role has 1`);
  }
  const shared = root.roles.timestamp.keyids.filter((keyid) =>
    roles.every(([, { keyids }]) => keyids.includes(keyid)),
  );
  if (shared.length === 0) throw refuse('no key may sign timestamp, snapshot and the bins alike');
  return shared;
}

/** PEP 458 "Key management": root, targets and bins are offline keys; one that is online protects nothing. */
function checkSeparation(root: Root, binsRole: RoleKeys, binDelegation: BinsTrust): void {
  const online = new Set(onlineRoles(root, binDelegation).flatMap(([, { keyids }]) => keyids));
  const offline: readonly (readonly [string, RoleKeys])[] = [
    ['root', root.roles.root],
    ['targets', root.roles.targets],
    ['bins', binsRole],
  ];
  for (const [role, { keyids }] of offline) {
    const both = keyids.find((keyid) => online.has(keyid));
    if (both !== undefined) throw refuse(`online key ${both} is a key of the offline role ${role} too`);
  }
}

function publishable(
  role: string,
  maxBytes: number,
): (envelope: Envelope<{ readonly version: number }>) => BundledFile {
  return (envelope) => {
    const bytes = envelopeFile(envelope);
    if (bytes.length > maxBytes) {
      throw refuse(`${role} has ${bytes.length} bytes, clients read at most ${maxBytes}`);
    }
    return { version: envelope.signed.version, bytes };
  };
}

function refuse(message: string): CountersignError {
  return new CountersignError('bundle-invalid', message);
}

function asBundleError<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw bundleError(error);
  }
}

/** Every reason to refuse a bundle has one code; which rule it was stands in the message, and in the cause. */
function bundleError(error: unknown): unknown {
  if (!(error instanceof CountersignError) || error.code === 'bundle-invalid') return error;
  return new CountersignError('bundle-invalid', error.message, { cause: error, details: error.details });
}
