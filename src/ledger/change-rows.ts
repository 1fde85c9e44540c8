// Recorded changes as they come back from a table, whatever the ledger is kept in.
import { CountersignError } from '../lib/errors.ts';
import { canonicalJson, type Canonicalizable } from '../tuf/canonical-json.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import type { TargetChange } from './ledger.ts';
import { storedTarget } from './stored-json.ts';

export interface ChangeRow {
  readonly snapshot: number;
  readonly item: number;
  readonly op: TargetChange['op'];
  readonly path: string;
  readonly target: string | null;
  readonly previous: string | null;
}

/** @param ledger Names the ledger in messages. @throws CountersignError `ledger-invalid`. */
export function changeOf(row: ChangeRow, ledger: string): TargetChange {
  return {
    op: row.op,
    path: row.path,
    ...(row.target === null ? {} : { target: targetOf(row.target, row, ledger) }),
    ...(row.previous === null ? {} : { previous: targetOf(row.previous, row, ledger) }),
  };
}

/** See `History.formerTargets`. @param rows All that ended something of one path, newest first. */
export function formerTargetsOf(rows: readonly ChangeRow[], since: number, ledger: string): TargetFile[] {
  const [latest] = rows;
  const seen = new Set<string>();
  if (latest !== undefined && latest.target !== null) {
    seen.add(identity(targetOf(latest.target, latest, ledger)));
  }
  const former: TargetFile[] = [];
  for (const row of rows) {
    // What version N took away was last named by N - 1.
    if (row.previous === null || row.snapshot - 1 <= since) continue;
    const target = targetOf(row.previous, row, ledger);
    if (seen.has(identity(target))) continue;
    seen.add(identity(target));
    former.push(target);
  }
  return former;
}

/** @param last The newest snapshot whose changes were forgotten. */
export function changesExpired(after: number, last: number): CountersignError {
  return new CountersignError(
    'changes-expired',
    `changes after snapshot ${after} are no longer kept, the oldest kept are those of snapshot ${last + 1}`,
    { details: { oldest: last + 1 } },
  );
}

function targetOf(json: string, row: ChangeRow, ledger: string): TargetFile {
  return storedTarget(json, `change ${row.item} of snapshot ${row.snapshot} in ledger ${ledger}`);
}

function identity(target: TargetFile): string {
  return canonicalJson(target as unknown as Canonicalizable);
}
