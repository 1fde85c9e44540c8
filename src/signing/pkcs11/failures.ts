// What a token's refusals mean (PKCS#11 2.40, section 5.1.6): which are about the PIN, which say that the session is
// gone and a new one may do, and in which words the operator hears of them.
import { CountersignError, messageOf } from '../../lib/errors.ts';

/** The token heard a PIN and did not like it: it is never offered a second time. */
const PIN_REFUSED = new Set([
  'CKR_PIN_INCORRECT',
  'CKR_PIN_INVALID',
  'CKR_PIN_LEN_RANGE',
  'CKR_PIN_EXPIRED',
  'CKR_PIN_LOCKED',
]);

const EXPLANATIONS: Readonly<Record<string, string>> = {
  CKR_PIN_INCORRECT: 'the PIN is wrong; it is not tried again, because tokens lock after a few tries',
  CKR_PIN_INVALID: 'the PIN has characters that the token does not take',
  CKR_PIN_LEN_RANGE: 'the PIN has a length that the token does not take',
  CKR_PIN_EXPIRED: 'the PIN has expired: set a new one with the tool of the token',
  CKR_PIN_LOCKED: 'the PIN is locked after too many wrong tries: unlock it with the tool of the token',
  CKR_USER_PIN_NOT_INITIALIZED: 'the token has no PIN yet: set one with its own tool',
  CKR_TOKEN_NOT_PRESENT: 'the token is not there',
  CKR_TOKEN_NOT_RECOGNIZED: 'the module does not recognize the token',
  CKR_DEVICE_REMOVED: 'the token was removed',
  CKR_DEVICE_ERROR: 'the token reports a fault',
  CKR_SESSION_HANDLE_INVALID: 'the session with the token is gone',
  CKR_SESSION_CLOSED: 'the session with the token is gone',
  CKR_SESSION_COUNT: 'the token has no room for another session',
  CKR_USER_NOT_LOGGED_IN: 'the token has ended the login',
  CKR_KEY_FUNCTION_NOT_PERMITTED: 'the key may not sign (CKA_SIGN is false)',
  CKR_MECHANISM_INVALID: 'the token does not sign with this mechanism',
};

/** `CKR_PIN_INCORRECT`, or undefined for an error that is not the token's. */
export function tokenCode(error: unknown): string | undefined {
  return error instanceof Error ? /\bCKR_[A-Z0-9_]+/.exec(error.message)?.[0] : undefined;
}

export function isPinRefused(error: unknown): boolean {
  const code = tokenCode(error);
  return code !== undefined && PIN_REFUSED.has(code);
}

/** `the token was removed (CKR_DEVICE_REMOVED)`. Never holds a PIN: the module is not asked for words of its own. */
export function explain(error: unknown): string {
  const code = tokenCode(error);
  if (code === undefined) return messageOf(error).split('\n')[0] ?? '';
  const words = EXPLANATIONS[code];
  return words === undefined ? code : `${words} (${code})`;
}

/** `signer-unavailable`, or the CountersignError that `error` is already. */
export function tokenUnavailable(what: string, error: unknown): CountersignError {
  if (error instanceof CountersignError) return error;
  return new CountersignError('signer-unavailable', `${what}: ${explain(error)}`, { cause: error });
}
