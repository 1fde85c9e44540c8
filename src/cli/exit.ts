// The one map from errors to exit statuses, a public contract: scripts rely on it.
import { CommanderError } from 'commander';
import { CountersignError, ERRORS, messageOf, type ErrorCode, type ErrorKind } from '../lib/errors.ts';

/** 0 done · 1 refused or not verified · 2 wrong usage or configuration · 3 try again later · 4 internal fault. */
export type ExitStatus = 0 | 1 | 2 | 3 | 4;

const STATUS: Readonly<Record<ErrorKind, ExitStatus>> = { refused: 1, usage: 2, unavailable: 3, internal: 4 };

/** An error as a command reports it. */
export interface Failure {
  readonly code: ErrorCode;
  readonly message: string;
  readonly remedy: string;
  readonly status: ExitStatus;
}

/** What to report for anything that a command threw. */
export function failureOf(error: unknown): Failure {
  if (error instanceof CommanderError) {
    if (error.code === 'commander.help') return failure('usage', 'no command was given');
    const message = error.message.replace(/^error: /, '').replaceAll(/\s*\n\s*/g, ' ');
    return failure('usage', lowerFirst(message));
  }
  if (error instanceof CountersignError) return failure(error.code, error.message);
  return failure('internal', `unexpected fault: ${messageOf(error)}`);
}

function failure(code: ErrorCode, message: string): Failure {
  return { code, message, remedy: ERRORS[code].remedy, status: STATUS[ERRORS[code].kind] };
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1);
}
