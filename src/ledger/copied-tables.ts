// The tables of both ledgers side by side, as a copy goes through them: in the order of their keys, a page at a time.
import type { SqliteConnection, SqlValue, Statement } from './sqlite-connection.ts';
import type { Query, Rows } from './postgres-connection.ts';

export type CopiedValue = SqlValue | boolean;
export type CopiedRow = readonly CopiedValue[];

export interface CopiedTable {
  readonly name: string;
  /** Columns and their types in PostgreSQL; the key comes first. */
  readonly columns: Readonly<Record<string, 'bigint' | 'integer' | 'text' | 'boolean'>>;
  readonly keyLength: 1 | 2;
  /** Rows in one statement: an intent may have megabytes. */
  readonly page: number;
}

export const COPIED_TABLES: readonly CopiedTable[] = [
  {
    name: 'events',
    columns: {
      position: 'bigint',
      id: 'text',
      digest: 'text',
      accepted_at: 'bigint',
      changes: 'text',
      snapshot: 'bigint',
      code: 'text',
      reason: 'text',
    },
    keyLength: 1,
    page: 2_000,
  },
  {
    name: 'publications',
    columns: {
      snapshot: 'bigint',
      timestamp: 'bigint',
      at: 'bigint',
      root: 'bigint',
      targets: 'bigint',
      bins: 'bigint',
      digest: 'text',
      intent: 'text',
      finished: 'bigint',
    },
    keyLength: 1,
    page: 20,
  },
  {
    name: 'changes',
    columns: {
      snapshot: 'bigint',
      item: 'integer',
      op: 'text',
      path: 'text',
      target: 'text',
      previous: 'text',
      ended: 'boolean',
    },
    keyLength: 2,
    page: 2_000,
  },
  {
    name: 'bins',
    columns: {
      bin: 'integer',
      version: 'bigint',
      sha256: 'text',
      signed_at: 'bigint',
      expires: 'bigint',
      keyids: 'text',
    },
    keyLength: 1,
    page: 2_000,
  },
  {
    name: 'orders',
    columns: {
      number: 'bigint',
      kind: 'text',
      digest: 'text',
      content: 'text',
      placed_at: 'bigint',
      outcome: 'text',
      settled_at: 'bigint',
    },
    keyLength: 1,
    page: 20,
  },
  {
    name: 'audit',
    columns: {
      number: 'bigint',
      kind: 'text',
      snapshot: 'bigint',
      hash: 'text',
      record: 'text',
    },
    keyLength: 1,
    page: 20,
  },
];

export function* sqliteRows(connection: SqliteConnection, table: CopiedTable): Generator<CopiedRow[]> {
  const names = Object.keys(table.columns);
  const statement: Statement = connection.prepare(pageOf(table, table.name, () => '?'));
  for (let last = beforeFirst(table); ;) {
    const found = connection.read(() => statement.all(...last, table.page)) as Record<string, SqlValue>[];
    const rows = found.map((row) =>
      names.map((name) => (table.columns[name] === 'boolean' ? row[name] === 1 : (row[name] ?? null))),
    );
    if (rows.length > 0) yield rows;
    if (rows.length < table.page) return;
    last = keyOf(table, rows);
  }
}

export async function* postgresRows(query: Query, table: CopiedTable): AsyncGenerator<CopiedRow[]> {
  const names = Object.keys(table.columns);
  const text = pageOf(table, `countersign.${table.name}`, (number) => `$${number}`);
  for (let last = beforeFirst(table); ;) {
    const { rows: found } = (await query(text, [...last, table.page])) as Rows<Record<string, CopiedValue>>;
    const rows = found.map((row) => names.map((name) => row[name] ?? null));
    if (rows.length > 0) yield rows;
    if (rows.length < table.page) return;
    last = keyOf(table, rows);
  }
}

export async function insertRows(
  query: Query,
  table: CopiedTable,
  rows: readonly CopiedRow[],
): Promise<void> {
  const names = Object.keys(table.columns);
  const arrays = Object.values(table.columns).map((type, index) => `$${index + 1}::${type}[]`);
  await query(
    `INSERT INTO countersign.${table.name} (${names.join(', ')}) OVERRIDING SYSTEM VALUE
     SELECT * FROM unnest(${arrays.join(', ')})`,
    names.map((_, column) => rows.map((row) => row[column])),
  );
}

function pageOf(table: CopiedTable, from: string, parameter: (number: number) => string): string {
  const names = Object.keys(table.columns);
  const key = names.slice(0, table.keyLength);
  return `SELECT ${names.join(', ')} FROM ${from}
    WHERE (${key.join(', ')}) > (${key.map((_, index) => parameter(index + 1)).join(', ')})
    ORDER BY ${key.join(', ')} LIMIT ${parameter(table.keyLength + 1)}`;
}

/** All keys are numbers from 0. */
function beforeFirst({ keyLength }: CopiedTable): SqlValue[] {
  return Array.from({ length: keyLength }, () => -1);
}

function keyOf({ keyLength }: CopiedTable, rows: readonly CopiedRow[]): SqlValue[] {
  return (rows.at(-1) ?? []).slice(0, keyLength) as SqlValue[];
}
