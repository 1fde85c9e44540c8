// Every use of the online key, as the ledger records it (PEP 458: it must be "carefully logged, monitored, and
// audited"). A record is a line of canonical JSON that carries the SHA-256 of the line before it: whoever takes one out,
// changes one or changes their order has to rewrite every later one, and the head stands in log files elsewhere.
//
// What is going to be signed is announced in the transaction that decides it, so before there is a signature; what was
// signed is recorded in the one that settles it. Digests and versions only: never a message, never a key.
import { Type, type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import { canonicalJson } from '../tuf/canonical-json.ts';
import { contentDigest } from './content-digest.ts';
import type { Adoption, AuditLine, AuditMark, Intent, Lease, SignedFiles } from './ledger.ts';
import type { Share } from './shared-work.ts';

const Version = Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER });
const Count = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER });
const Digest = Type.String({ pattern: '^[0-9a-f]{64}$' });
const KeyIds = Type.Array(Type.String());
const File = Type.Object({ version: Version, sha256: Digest, keyids: KeyIds });
const head = {
  number: Version,
  /** SHA-256 of the record before; of nothing, for the first one. */
  previous: Digest,
  at: Type.String({ pattern: '^\\d{4,6}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d{3}Z$' }),
};
/** `BIN:VERSION` of each bin, ascending, with commas. */
const Bins = Type.String({ pattern: '^(\\d+:\\d+(,\\d+:\\d+)*)?$' });
/** The SHA-256 of each bin's file, 32 bytes each and nothing between them, in base64. */
const BinDigests = Type.String({ pattern: '^[A-Za-z0-9+/]*={0,2}$' });

const Announced = Type.Object({
  ...head,
  /** `resumed`: what another process announced is signed by this one. `reconciling`: a timestamp alone. */
  kind: Type.Union([Type.Literal('announced'), Type.Literal('resumed'), Type.Literal('reconciling')]),
  /** The holder of the lease, and its fencing token. */
  node: Type.String(),
  epoch: Count,
  snapshot: Version,
  timestamp: Version,
  bins: Bins,
  /** Key ids that sign the bins; absent where the one signer does. */
  keyids: Type.Optional(KeyIds),
  events: Count,
  /** SHA-256 of the intent. */
  intent: Digest,
  bundle: Type.Optional(Type.String()),
});
/** A node that is not the publisher signs some of the bins that the publisher has announced. */
const Helping = Type.Object({
  ...head,
  kind: Type.Literal('helping'),
  /** The node, and the fencing token of the lease at that time. */
  node: Type.String(),
  epoch: Count,
  snapshot: Version,
  /** Number of the last announcement of this publication. */
  announced: Count,
  bins: Bins,
});
const Signed = Type.Object({
  ...head,
  kind: Type.Literal('signed'),
  /** Number of the last announcement of this publication. */
  announced: Count,
  snapshot: File,
  timestamp: File,
  bins: Bins,
  digests: BinDigests,
  keyids: KeyIds,
});
const Adopted = Type.Object({
  ...head,
  kind: Type.Literal('adopted'),
  node: Type.String(),
  epoch: Count,
  /** What was signed after this snapshot has no record: it was lost with the ledger. */
  follows: Version,
  snapshot: File,
  timestamp: File,
  bins: Bins,
  digests: BinDigests,
});
const Began = Type.Object({
  ...head,
  kind: Type.Literal('began'),
  /** Nothing that was signed up to this snapshot was recorded. 0: the log is as old as the repository. */
  after: Count,
});
const RecordShape = Type.Union([Announced, Helping, Signed, Adopted, Began]);

export type AuditRecord = Static<typeof RecordShape>;

type Place = 'number' | 'previous' | 'at';
type Body<T> = T extends AuditRecord ? Omit<T, Place> : never;
export type AuditBody = Body<AuditRecord>;

/** What the first record has for its predecessor: the SHA-256 of nothing. */
export const NO_RECORD = sha256Hex('');

/** What is going to be signed, by the holder of the lease. */
export function announcement(
  kind: 'announced' | 'resumed' | 'reconciling',
  intent: Intent,
  { holder, epoch }: Pick<Lease, 'holder' | 'epoch'>,
): AuditBody {
  const { snapshot, timestamp, bins, keyids, events, bundle } = intent;
  return {
    kind,
    node: holder,
    epoch,
    snapshot,
    timestamp,
    bins: kind === 'reconciling' ? '' : formatBins(bins),
    ...(keyids === undefined ? {} : { keyids: [...keyids] }),
    events: events.length,
    intent: contentDigest(intent),
    ...(bundle === undefined ? {} : { bundle }),
  };
}

/** What a node is going to sign for the publisher. @param announced As for `signature`. */
export function helping(
  { snapshot, bins }: Share,
  node: string,
  epoch: number,
  announced: number,
): AuditBody {
  return { kind: 'helping', node, epoch, snapshot, announced, bins: formatBins(bins) };
}

/** What was signed. @param announced Number of the last announcement of this publication. */
export function signature(intent: Intent, signed: SignedFiles, announced: number): AuditBody {
  const { snapshot, timestamp } = signed;
  return {
    kind: 'signed',
    announced,
    snapshot: { version: intent.snapshot, sha256: snapshot.sha256, keyids: [...snapshot.keyids] },
    timestamp: { version: intent.timestamp, sha256: timestamp.sha256, keyids: [...timestamp.keyids] },
    bins: formatBins(intent.bins),
    digests: packDigests(signed.bins),
    keyids: [...(intent.keyids ?? snapshot.keyids)],
  };
}

/** What was found in the store, and taken over from it. */
export function adoption(
  { follows, intent, bins, snapshot, timestamp }: Adoption,
  { holder, epoch }: Pick<Lease, 'holder' | 'epoch'>,
): AuditBody {
  return {
    kind: 'adopted',
    node: holder,
    epoch,
    follows,
    snapshot: { version: intent.snapshot, sha256: snapshot.sha256, keyids: [...snapshot.keyids] },
    timestamp: { version: intent.timestamp, sha256: timestamp.sha256, keyids: [...timestamp.keyids] },
    bins: formatBins(bins),
    digests: packDigests(bins.map(({ sha256 }) => sha256)),
  };
}

/** The next record of the chain. `now`: milliseconds since the epoch. */
export function nextLine(
  last: Pick<AuditLine, 'number' | 'hash'> | undefined,
  body: AuditBody,
  now: number,
): AuditLine {
  const number = (last?.number ?? 0) + 1;
  const record = { ...body, number, previous: last?.hash ?? NO_RECORD, at: new Date(now).toISOString() };
  const text = canonicalJson(record);
  return { number, hash: sha256Hex(text), text };
}

export function markOf({ number, hash }: Pick<AuditLine, 'number' | 'hash'>, body: AuditBody): AuditMark {
  return { number, hash, kind: body.kind, snapshot: snapshotOf(body) };
}

/** The publication that a record is about. */
export function snapshotOf(record: AuditBody): number {
  if (record.kind === 'began') return record.after;
  return typeof record.snapshot === 'number' ? record.snapshot : record.snapshot.version;
}

const shape = Compile(RecordShape);

/** @throws CountersignError `ledger-invalid` that names `where`. */
export function parseAuditRecord(text: string, where: string): AuditRecord {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new CountersignError('ledger-invalid', `${where} is not JSON`, { cause });
  }
  if (shape.Check(value)) return value;
  throw new CountersignError('ledger-invalid', `${where} is no record of a use of the online key`);
}

/** The bins of a record, with the digest of each where it has them. @throws CountersignError `ledger-invalid`. */
export function* signedBins(
  record: Extract<AuditRecord, { digests: string }>,
): Generator<{ readonly bin: number; readonly version: number; readonly sha256: string }> {
  const bins = parseBins(record.bins);
  const digests = Buffer.from(record.digests, 'base64');
  if (digests.length !== 32 * bins.length) {
    throw new CountersignError(
      'ledger-invalid',
      `audit record ${record.number} has ${bins.length} bins and ${digests.length} bytes of digests`,
    );
  }
  for (const [i, bin] of bins.entries()) {
    yield { ...bin, sha256: digests.toString('hex', 32 * i, 32 * (i + 1)) };
  }
}

/** `BIN:VERSION,…` as numbers. */
export function parseBins(bins: string): { readonly bin: number; readonly version: number }[] {
  if (bins === '') return [];
  return bins.split(',').map((pair) => {
    const [bin, version] = pair.split(':');
    return { bin: Number(bin), version: Number(version) };
  });
}

export function formatBins(bins: readonly { readonly bin: number; readonly version: number }[]): string {
  return bins.map(({ bin, version }) => `${bin}:${version}`).join(',');
}

export function packDigests(digests: readonly string[]): string {
  return Buffer.from(digests.join(''), 'hex').toString('base64');
}

export function unpackDigests(packed: string): string[] {
  const bytes = Buffer.from(packed, 'base64');
  return Array.from({ length: bytes.length / 32 }, (_, i) => bytes.toString('hex', 32 * i, 32 * (i + 1)));
}
