// The audit log as a chain: every record there, in order, as it was written, and nothing signed that was not announced.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { NO_RECORD, parseAuditRecord, type AuditRecord } from '../ledger/audit-record.ts';
import type { AuditLine, History } from '../ledger/ledger.ts';
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';

/** Records read at once; one of 16,384 bins has a megabyte. */
const PAGE = 50;

export interface ChainedRecord {
  readonly line: AuditLine;
  readonly record: AuditRecord;
}

/** The records that a ledger holds after number `after`. */
export async function* ledgerLines(
  history: Pick<History, 'auditLines'>,
  after = 0,
): AsyncGenerator<AuditLine> {
  for (let last = after; ;) {
    const lines = await history.auditLines(last, PAGE);
    yield* lines;
    const end = lines.at(-1);
    if (end === undefined) return;
    last = end.number;
  }
}

/** The records of an export. @throws CountersignError `usage` when it cannot be read, `audit-broken`. */
export async function* exportedLines(file: string): AsyncGenerator<AuditLine> {
  const input = createReadStream(file);
  try {
    let at = 0;
    for await (const text of createInterface({ input, crlfDelay: Infinity })) {
      at += 1;
      const { number } = readRecord(text, `line ${at} of ${file}`);
      yield { number, hash: sha256Hex(text), text };
    }
  } catch (cause) {
    if (cause instanceof CountersignError) throw cause;
    throw new CountersignError('usage', `${file} cannot be read: ${messageOf(cause)}`, { cause });
  } finally {
    input.destroy();
  }
}

/** The ledger's records, as long as an export made of them says the same. @throws CountersignError `audit-broken`. */
export async function* comparedLines(
  exported: AsyncIterable<AuditLine>,
  ledger: AsyncGenerator<AuditLine>,
): AsyncGenerator<AuditLine> {
  for await (const theirs of exported) {
    let next = await ledger.next();
    while (next.done !== true && next.value.number < theirs.number) {
      yield next.value;
      next = await ledger.next();
    }
    const ours = next.done === true ? undefined : next.value;
    if (ours?.number !== theirs.number || ours.hash !== theirs.hash) {
      throw new CountersignError(
        'audit-broken',
        `audit record ${theirs.number} has the hash ${theirs.hash} in the export, the ledger ` +
          (ours?.number === theirs.number ? `has ${ours.hash}` : 'does not hold it') +
          ': the ledger was restored from a backup, or its log was rewritten',
      );
    }
    yield ours;
  }
  yield* ledger;
}

/**
 * Checks the chain, and yields its records. @throws CountersignError `audit-broken` at the first record that is not what
 * it should be.
 */
export async function* checkedChain(lines: AsyncIterable<AuditLine>): AsyncGenerator<ChainedRecord> {
  let last = { number: 0, hash: NO_RECORD };
  let announced: { readonly number: number; readonly snapshot: number; readonly bins: string } | undefined;
  for await (const line of lines) {
    const { number, text, hash } = line;
    if (number !== last.number + 1) {
      throw new CountersignError(
        'audit-broken',
        `audit record ${number} follows record ${last.number}: ${number > last.number ? 'records between them are gone' : 'they are in another order'}`,
      );
    }
    const actual = sha256Hex(text);
    if (actual !== hash) {
      throw new CountersignError(
        'audit-broken',
        `audit record ${number} was changed: its hash is ${actual}, recorded was ${hash}`,
      );
    }
    const record = readRecord(text, `audit record ${number}`);
    if (record.previous !== last.hash || record.number !== number) {
      throw new CountersignError(
        'audit-broken',
        `audit record ${number} follows a record with the hash ${record.previous}, record ${last.number} has ${last.hash}`,
      );
    }
    if ((record.kind === 'began') !== (number === 1)) {
      throw new CountersignError('audit-broken', `audit record ${number} is of kind ${record.kind}`);
    }
    if (record.kind === 'announced' || record.kind === 'resumed') {
      announced = { number, snapshot: record.snapshot, bins: record.bins };
    } else if (record.kind === 'helping') {
      const known = new Set(announced?.bins.split(','));
      const isPart =
        announced?.number === record.announced &&
        announced.snapshot === record.snapshot &&
        record.bins.split(',').every((bin) => known.has(bin));
      if (!isPart) {
        throw new CountersignError(
          'audit-broken',
          `audit record ${number} says that ${record.node} helps with snapshot ${record.snapshot}, and record ${record.announced} did not announce these bins`,
        );
      }
    } else if (record.kind === 'signed') {
      const { version } = record.snapshot;
      const same =
        announced?.number === record.announced &&
        announced.snapshot === version &&
        announced.bins === record.bins;
      if (!same) {
        throw new CountersignError(
          'audit-broken',
          `audit record ${number} says that snapshot ${version} was signed, and record ${record.announced} did not announce it`,
        );
      }
    }
    last = { number, hash };
    yield { line, record };
  }
}

/** Damage in a log is what an audit looks for. */
function readRecord(text: string, where: string): AuditRecord {
  try {
    return parseAuditRecord(text, where);
  } catch (cause) {
    throw new CountersignError('audit-broken', messageOf(cause), { cause });
  }
}
