// What PostgreSQL and the network report, as errors of the ledger that name the server.
import pg from 'pg';
import { CountersignError, messageOf } from '../lib/errors.ts';

/** SQLSTATE classes of statements that cannot be right: data, constraints, syntax. They are faults of this program. */
const FAULTY_STATEMENT = /^(?:21|22|23|42)/;
/** Rights are granted, tables restored, by an operator: the statement was right. */
const RIGHTS = '42501';
const TABLE_MISSING = /^(?:42P01|3F000|42703)$/;
/** A standby, or a server that was made read-only when another one was promoted. */
const READ_ONLY = '25006';
const DAMAGED = /^XX00[12]$/;

/** @returns `error` itself when it is one of ours or no error of the database. */
export function ledgerError(uri: string, error: unknown): unknown {
  if (error instanceof CountersignError) return error;
  const code = sqlState(error);
  const message = `ledger ${uri}: ${explained(error)}${code === undefined ? '' : ` (${code})`}`;
  const options = { cause: error };
  if (code === undefined) {
    return isProgrammingError(error) ? error : new CountersignError('ledger-unavailable', message, options);
  }
  if (DAMAGED.test(code) || TABLE_MISSING.test(code)) {
    return new CountersignError('ledger-invalid', message, options);
  }
  if (FAULTY_STATEMENT.test(code) && code !== RIGHTS) {
    return new CountersignError('internal', message, options);
  }
  return new CountersignError('ledger-unavailable', message, options);
}

/**
 * True when the server refused a statement and the connection goes on; false when it is to be thrown away: also one that
 * leads to a server which takes no writes, for the address may lead to the primary by now.
 */
export function connectionGoesOn(error: unknown): boolean {
  if (error instanceof CountersignError) return !(error instanceof StandbyError);
  if (sqlState(error) === READ_ONLY) return false;
  return error instanceof pg.DatabaseError && error.severity === 'ERROR';
}

/** The address leads to a server that takes no writes. */
export class StandbyError extends CountersignError {
  constructor(uri: string) {
    super(
      'ledger-unavailable',
      `ledger ${uri} is a read-only standby (${READ_ONLY}): the address must lead to the primary server`,
    );
  }
}

function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError && error.code?.length === 5 ? error.code : undefined;
}

function isProgrammingError(error: unknown): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
}

function explained(error: unknown): string {
  // Several addresses of one name: each attempt has its own reason, the error itself has none.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  const message = messageOf(error);
  if (message.includes('client password must be a')) {
    return 'the server asks for a password and none is configured: set ledger-password, COUNTERSIGN_LEDGER_PASSWORD, PGPASSWORD or PGPASSFILE';
  }
  if (message === 'timeout exceeded when trying to connect') {
    return 'no connection became free in time: all are in use by transactions that wait';
  }
  return message;
}
