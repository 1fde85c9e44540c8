// Logging in to a token. A wrong PIN costs one of a few tries, after which the token locks or destroys its keys: no
// path in this program offers a token the same wrong PIN twice.
import type { Handle } from 'pkcs11js';
import { CountersignError } from '../../lib/errors.ts';
import { explain, isPinRefused, tokenCode, tokenUnavailable } from './failures.ts';
import type { TokenModule } from './module.ts';
import type { PresentToken } from './tokens.ts';

const CKU_USER = 1;
const CKU_CONTEXT_SPECIFIC = 2;

/**
 * @param unattended No person has just typed the PIN: a token that has heard a wrong one since its last login is left
 *   alone, because a service that is restarted again and again would use its tries up.
 * @throws CountersignError `secret-unreadable` when the PIN is refused, or must not be tried.
 */
export function login(
  module: TokenModule,
  session: Handle,
  { info, loginRequired }: PresentToken,
  pin: string,
  unattended: boolean,
): void {
  if (!loginRequired) return;
  const token = `token "${info.label}" (serial ${info.serial})`;
  const refuse = (problem: string, cause?: unknown): CountersignError =>
    new CountersignError('secret-unreadable', `${token}: ${problem}`, cause === undefined ? {} : { cause });
  if (info.pin === 'locked') throw refuse('its PIN is locked: unlock it with the tool of the token');
  if (info.pin === 'unset') throw refuse('it has no PIN yet: set one with the tool of the token');
  if (info.pin === 'last-try') {
    throw refuse('one more wrong PIN locks it, so none is tried: log in once with the tool of the token');
  }
  if (info.pin === 'wrong-try' && unattended) {
    throw refuse(
      'the last PIN it heard was wrong, so none is tried: correct the PIN, then run "countersign key show" once',
    );
  }
  if (pin === '') throw refuse('no PIN was given');
  try {
    module.api.C_Login(session, CKU_USER, pin);
  } catch (error) {
    // All sessions of a process share one login.
    if (tokenCode(error) === 'CKR_USER_ALREADY_LOGGED_IN') return;
    // No cause: nothing that was near the PIN is passed on.
    if (isPinRefused(error)) throw refuse(explain(error));
    throw tokenUnavailable(`${token} does not accept a login`, error);
  }
}

/** For a key with CKA_ALWAYS_AUTHENTICATE, after C_SignInit (PKCS#11 2.40, 4.9). */
export function loginForSignature(module: TokenModule, session: Handle, pin: string): void {
  module.api.C_Login(session, CKU_CONTEXT_SPECIFIC, pin);
}
