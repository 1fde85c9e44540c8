// Writing the audit log to a file, a line for each record: added to an export that is there already, and on disk when it
// is said to be.
import { open, type FileHandle } from 'node:fs/promises';
import type { History } from '../ledger/ledger.ts';
import { parseAuditRecord } from '../ledger/audit-record.ts';
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { ledgerLines } from '../publish/audit-chain.ts';
import { holdLock } from '../storage/file-lock.ts';

/** Bytes: more than two records of 32,768 bins. */
const TAIL_BYTES = 8 * 1024 * 1024;

export interface AuditExport {
  /** Number of the record before the first one written, and of the last one in the file. */
  readonly after: number;
  readonly last: number;
  readonly written: number;
}

/**
 * Appends what the ledger holds beyond the last record in `file`, or beyond number `after` when the file is new. One process
 * at a time does, by the lock in `FILE.lock`.
 * @throws CountersignError `audit-broken` when the file is not an export of this log, `usage` when it cannot be written.
 */
export async function exportAudit(history: History, file: string, after: number): Promise<AuditExport> {
  let handle: FileHandle | undefined;
  let release: (() => void) | undefined;
  try {
    handle = await open(file, 'a+', 0o600);
    // Two at once, as a timer starts them when the first takes long, would write every record twice: a broken chain.
    release = holdLock(`${file}.lock`);
    if (release === undefined) throw new Error('another process is writing to it; wait for its end');
    const from = await continued(handle, history, file, after);
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
    release?.();
  }
}

/** Number of the last whole record in the file, or `after`; what an interrupted run left behind it is cut off. */
async function continued(handle: FileHandle, history: History, file: string, after: number): Promise<number> {
  const { size } = await handle.stat();
  const length = Math.min(size, TAIL_BYTES);
  const tail = Buffer.alloc(length);
  await handle.read(tail, 0, length, size - length);
  const end = tail.lastIndexOf('\n');
  const last = end === -1 ? after : await lastRecord(tail.subarray(0, end), history, file);
  const torn = tail.subarray(end + 1);
  if (torn.length === 0) return last;
  const [next] = await history.auditLines(last, 1);
  const isTorn = Buffer.from(next?.text ?? '')
    .subarray(0, torn.length)
    .equals(torn);
  // Anything else than the beginning of the next record is somebody's, and is not thrown away.
  if (!isTorn || (end === -1 && length < size)) {
    throw new CountersignError(
      'audit-broken',
      `${file} does not end with a record of this log; it is left as it is, give a new file`,
    );
  }
  await handle.truncate(size - torn.length);
  return last;
}

/** `lines`: the end of a file, without its last line end. */
async function lastRecord(lines: Buffer, history: History, file: string): Promise<number> {
  const text = lines.toString('utf8', lines.lastIndexOf('\n') + 1);
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
