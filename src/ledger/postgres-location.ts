// Where a PostgreSQL ledger is: what `ledger: postgres://…` says (src/config/postgres-uri.ts reads it), and what is
// needed to get in. No password: that comes from a private file or from PostgreSQL's own places when it is needed.
import type { Clock } from '../lib/clock.ts';

/** Host and port, or the directory of a Unix socket and the port in its name. */
export interface PostgresServer {
  readonly host: string;
  readonly port: number;
}

export interface PostgresLocation extends PostgresServer {
  readonly user: string;
  readonly database: string;
  readonly tls: 'disable' | 'verify-full';
  /** Absolute path of a PEM file with the authorities to trust; absent: those of Node.js. */
  readonly rootCertificate?: string;
  /** Where sessions that LISTEN are opened when `host` is a pooler; `none`: changes are found by asking. */
  readonly listen?: PostgresServer | 'none';
}

export interface PostgresAccess {
  readonly location: PostgresLocation;
  /** Asked at each connection, so that a changed password is used. Absent: PGPASSWORD, PGPASSFILE, or none. */
  readonly password?: () => Promise<string>;
  readonly clock: Clock;
  /** 0 <= r < 1. */
  readonly random: () => number;
  /** Told what an operator should know, though nothing failed. */
  readonly warn?: (message: string) => void;
}

/** `postgres://user@host:5432/database`, for messages. */
export function postgresUri({ user, host, port, database }: PostgresLocation): string {
  if (host.startsWith('/')) return `postgres://${user}@/${database}?host=${host}&port=${port}`;
  return `postgres://${user}@${host.includes(':') ? `[${host}]` : host}:${port}/${database}`;
}
