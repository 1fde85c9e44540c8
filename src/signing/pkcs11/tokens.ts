// The tokens that a module sees, and the one that a URI means.
import type { Handle, TokenInfo as RawInfo } from 'pkcs11js';
import { CountersignError } from '../../lib/errors.ts';
import type { KeyUri } from '../../lib/pkcs11-uri.ts';
import type { TokenAlgorithm } from './der.ts';
import { tokenCode, tokenUnavailable } from './failures.ts';
import { acquireModule, type TokenModule } from './module.ts';

export interface TokenInfo {
  readonly label: string;
  readonly serial: string;
  readonly manufacturer: string;
  readonly model: string;
  /** What it can sign with. */
  readonly algorithms: readonly TokenAlgorithm[];
  /** `wrong-try`: the last PIN that it heard was wrong; `last-try`: the next wrong one locks it. */
  readonly pin: 'ready' | 'unset' | 'wrong-try' | 'last-try' | 'locked';
}

export interface PresentToken {
  readonly slot: Handle;
  readonly info: TokenInfo;
  /** False for a token that signs without a PIN. */
  readonly loginRequired: boolean;
}

const CKM_ECDSA = 0x1041;
const CKM_EDDSA = 0x1057;

/** CK_TOKEN_INFO flags. */
const LOGIN_REQUIRED = 0x4;
const USER_PIN_INITIALIZED = 0x8;
const TOKEN_INITIALIZED = 0x400;
const USER_PIN_COUNT_LOW = 0x10000;
const USER_PIN_FINAL_TRY = 0x20000;
const USER_PIN_LOCKED = 0x40000;

/**
 * The initialized tokens of a module; no PIN is needed.
 * @param modulePath Absolute path of the PKCS#11 library.
 * @throws CountersignError `config-invalid` when the module cannot be loaded, `signer-unavailable`.
 */
export async function listTokens(modulePath: string): Promise<TokenInfo[]> {
  const module = await acquireModule(modulePath);
  try {
    return presentTokens(module).map(({ info }) => info);
  } finally {
    module.release();
  }
}

export function presentTokens({ api, path }: TokenModule): PresentToken[] {
  try {
    // Asked for all slots first: that is when modules look for tokens that were plugged in (PKCS#11 2.40, 5.5).
    api.C_GetSlotList(false);
    return api.C_GetSlotList(true).flatMap((slot) => {
      try {
        const raw = api.C_GetTokenInfo(slot);
        if ((raw.flags & TOKEN_INITIALIZED) === 0) return [];
        const info = describe(raw, api.C_GetMechanismList(slot));
        return [{ slot, info, loginRequired: (raw.flags & LOGIN_REQUIRED) !== 0 }];
      } catch (error) {
        // A token that is just being pulled out, or one of a kind that the module does not know.
        if (/^CKR_(TOKEN_NOT_|DEVICE_REMOVED)/.test(tokenCode(error) ?? '')) return [];
        throw error;
      }
    });
  } catch (error) {
    throw tokenUnavailable(`the tokens of ${path} cannot be listed`, error);
  }
}

/**
 * The token that `uri` means.
 * @throws CountersignError `signer-unavailable` when it is not there, `config-invalid` when several match.
 */
export function findToken(module: TokenModule, uri: KeyUri): PresentToken {
  const all = presentTokens(module);
  const matching = all.filter(
    ({ info }) =>
      matches(uri.token, info.label) &&
      matches(uri.serial, info.serial) &&
      matches(uri.manufacturer, info.manufacturer) &&
      matches(uri.model, info.model),
  );
  const [token] = matching;
  const wanted = describeWanted(uri);
  if (token === undefined) {
    const seen = all.map(({ info }) => `"${info.label}" (serial ${info.serial})`).join(', ');
    throw new CountersignError(
      'signer-unavailable',
      `${module.path} has no ${wanted}; it sees ${seen === '' ? 'no token' : seen}`,
    );
  }
  if (matching.length > 1) {
    const serials = matching.map(({ info }) => info.serial).join(', ');
    throw new CountersignError(
      'config-invalid',
      `${module.path} has ${matching.length} times ${wanted}, with serials ${serials}: add serial= to the URI`,
    );
  }
  return token;
}

function matches(wanted: string | undefined, found: string): boolean {
  return wanted === undefined || wanted === found;
}

function describeWanted({ token, serial }: KeyUri): string {
  const name = token === undefined ? 'token' : `token "${token}"`;
  return serial === undefined ? name : `${name} with serial ${serial}`;
}

function describe(raw: RawInfo, mechanisms: readonly number[]): TokenInfo {
  return {
    label: unpadded(raw.label),
    serial: unpadded(raw.serialNumber),
    manufacturer: unpadded(raw.manufacturerID),
    model: unpadded(raw.model),
    algorithms: [
      ...(mechanisms.includes(CKM_EDDSA) ? (['ed25519'] as const) : []),
      ...(mechanisms.includes(CKM_ECDSA) ? (['ecdsa-p256'] as const) : []),
    ],
    pin: pinState(raw.flags),
  };
}

function pinState(flags: number): TokenInfo['pin'] {
  if ((flags & USER_PIN_LOCKED) !== 0) return 'locked';
  if ((flags & USER_PIN_FINAL_TRY) !== 0) return 'last-try';
  if ((flags & USER_PIN_COUNT_LOW) !== 0) return 'wrong-try';
  return (flags & (USER_PIN_INITIALIZED | LOGIN_REQUIRED)) === LOGIN_REQUIRED ? 'unset' : 'ready';
}

/** Tokens pad their texts with blanks, and some end them with zeros. */
function unpadded(text: string): string {
  return text.replace(/[ \0]+$/, '');
}
