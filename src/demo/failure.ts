// How the demo ends when something is not as it says: one error, which the command line turns into exit status 1.
import { CountersignError } from '../lib/errors.ts';

export function demoFailed(message: string, cause?: unknown): CountersignError {
  return new CountersignError('demo-failed', message, cause === undefined ? {} : { cause });
}

/**
 * Holds the story to its facts.
 * @throws CountersignError `demo-failed` with `message`.
 */
export function expectFact(holds: boolean, message: string): asserts holds {
  if (!holds) throw demoFailed(message);
}
