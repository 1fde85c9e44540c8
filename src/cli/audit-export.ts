// Writing the audit log to a file, a line for each record: added to an export that is there already, and on disk when it
// is said to be.
import { open, type FileHandle } from 'node:fs/promises';
import type { History } from '../ledger/ledger.ts';
import { parseAuditRecord } from '../ledger/audit-record.ts';
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { ledgerLines } from '../publish/audit-chain.ts';

/** Bytes: more than two records of 32,768 bins. */
const TAIL_BYTES = 8 * 1024 * 1024;

export interface AuditExport {
  /** Number of the record before the first one written, and of the last one in the file. */
  readonly after: number;
  readonly last: number;
  readonly written: number;
}

/**
 * Appends what the ledger holds beyond the last record in `file`, or beyond number `after` when the file is new.
 * @throws CountersignError `audit-broken` when the file is not an export of this log, `usage` when it cannot be written.
 */
export async function exportAudit(history: History, file: string, after: number): Promise<AuditExport> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(file, 'a+', 0o600);
    const from = (await continued(handle, history, file)) ?? after;
    let last = from;
    for await (const { number, text } of ledgerLines(history, from)) {
      await handle.appendFile(`${text}\n`);
      last = number;
    }
    await handle.sync();
    return { after: from, last, written: last - from };
  } catch (cause) {
    if (cause instanceof CountersignError) throw cause;
    throw new CountersignError('usage', `--to ${file} cannot be written: ${messageOf(cause)}`, { cause });
  } finally {
    await handle?.close();
  }
}

/** Number of the last whole record in the file; what an interrupted run left behind it is cut off. */
async function continued(handle: FileHandle, history: History, file: string): Promise<number | undefined> {
  const { size } = await handle.stat();
  const length = Math.min(size, TAIL_BYTES);
  const tail = Buffer.alloc(length);
  await handle.read(tail, 0, length, size - length);
  const end = tail.lastIndexOf('\n');
  if (end < length - 1) await handle.truncate(size - length + end + 1);
  if (end === -1) return undefined;
  const text = tail.toString('utf8', tail.lastIndexOf('\n', end - 1) + 1, end);
  const { number } = readLine(text, file);
  const [line] = await history.auditLines(number - 1, 1);
  const hash = sha256Hex(text);
  if (line?.number === number && line.hash === hash) return number;
  throw new CountersignError(
    'audit-broken',
    `${file} ends with audit record ${number} and the hash ${hash}, the ledger ` +
      (line?.number === number ? `has ${line.hash}` : 'does not hold it'),
  );
}

function readLine(text: string, file: string): { readonly number: number } {
  try {
    return parseAuditRecord(text, `the last line of ${file}`);
  } catch (cause) {
    throw new CountersignError('audit-broken', messageOf(cause), { cause });
  }
}
