// A holder's private key on a PKCS#11 token: what src/signing/pkcs11 does for a service, with a person who types the
// PIN. A PIN is asked for once and offered to the token once: a wrong one costs one of a few tries, after which tokens
// lock or destroy their keys.
import { CountersignError, hasCode } from '../src/lib/errors.ts';
import { parseKeyUri } from '../src/lib/pkcs11-uri.ts';
import { generateTokenKey } from '../src/signing/pkcs11/generate-key.ts';
import { openToken, type TokenKey } from '../src/signing/pkcs11/token-key.ts';
import { listTokens, type TokenInfo } from '../src/signing/pkcs11/tokens.ts';
import { parsePublicKey } from '../src/tuf/keys.ts';
import type { PublicKey, Signature } from '../src/tuf/metadata.ts';
import type { HolderKey } from './holder-key.ts';
import type { KeyAlgorithm } from './key-file.ts';
import { wrongAnswer } from './terminal-questions.ts';
import type { Terminal } from './terminal.ts';

/** RFC 7512, as opposed to the path of a file. */
export function isTokenUri(reference: string): boolean {
  return /^pkcs11:/i.test(reference);
}

/**
 * Opens a key on a token; asks for the PIN, once.
 * @throws CountersignError `config-invalid` for the URI, `secret-unreadable` when the PIN is refused,
 *   `signer-unavailable`, `interrupted`.
 */
export async function openTokenKey(uri: string, terminal: Terminal): Promise<HolderKey> {
  const pin = await askPin(uri, terminal);
  return new TokenHolderKey(await openToken(uri, pin));
}

/**
 * Makes a key on a token; asks for the PIN, once. The URI names the token and, by `object`, the new key.
 * @throws CountersignError `file-exists` when the token has such a key, and as `openTokenKey`.
 */
export async function makeTokenKey(
  uri: string,
  algorithm: KeyAlgorithm,
  terminal: Terminal,
): Promise<{ readonly keyid: string; readonly publicKey: PublicKey; readonly serial: string }> {
  if (algorithm === 'p384') {
    throw new CountersignError('usage', 'keys on tokens are ed25519 or p256; p384 is for keys in files');
  }
  const pin = await askPin(uri, terminal);
  try {
    return await generateTokenKey(uri, pin, algorithm === 'ed25519' ? 'ed25519' : 'ecdsa-p256');
  } catch (cause) {
    if (!hasCode(cause, 'file-exists')) throw cause;
    // A command that broke off may have come as far as the token.
    throw new CountersignError(
      'file-exists',
      `${cause.message}; if it is the key that was to be made, "key show" with this URI and --name writes its public part`,
      { cause },
    );
  }
}

async function askPin(uri: string, terminal: Terminal): Promise<string> {
  const token = await theToken(uri);
  terminal.say(`token "${token.label}" (${token.model} of ${token.manufacturer}, serial ${token.serial})`);
  const warning = WARNINGS[token.pin];
  // These states end it before anybody types: a PIN that cannot be used is a PIN that was typed for nothing.
  if (warning.ends) throw new CountersignError('secret-unreadable', `token ${token.serial}: ${warning.text}`);
  terminal.say(warning.text);
  const pin = await terminal.secret(`PIN of token ${token.serial}`);
  if (pin === '') throw wrongAnswer('no PIN was given; the token was not asked');
  return pin;
}

/** The one token that the URI means: nobody types a PIN before it is clear which token hears it. */
export async function theToken(text: string): Promise<TokenInfo> {
  const { modulePath, token, serial, manufacturer, model } = parseKeyUri(text);
  const all = await listTokens(modulePath);
  const fits = (wanted: string | undefined, found: string): boolean =>
    wanted === undefined || wanted === found;
  const matching = all.filter(
    (one) =>
      fits(token, one.label) &&
      fits(serial, one.serial) &&
      fits(manufacturer, one.manufacturer) &&
      fits(model, one.model),
  );
  const seen = all.map((one) => `"${one.label}" (serial ${one.serial})`).join(', ');
  const [found] = matching;
  if (found === undefined) {
    throw new CountersignError(
      'signer-unavailable',
      `the token is not there; ${modulePath} sees ${seen === '' ? 'no token' : seen}`,
    );
  }
  if (matching.length > 1) {
    throw new CountersignError('config-invalid', `the URI fits several tokens, add serial=: ${seen}`);
  }
  return found;
}

/** PKCS#11 tells no number of tries, only these states. */
const WARNINGS: Readonly<Record<TokenInfo['pin'], { readonly text: string; readonly ends: boolean }>> = {
  ready: { text: 'a wrong PIN costs one of a few tries; it is offered to the token once', ends: false },
  'wrong-try': {
    text: 'the last PIN that this token heard was wrong: at least one try is used up, be sure of this one',
    ends: false,
  },
  'last-try': {
    text: 'one try is left, so no PIN is offered to it here: log in once with the tool of the token',
    ends: true,
  },
  locked: { text: 'its PIN is locked: its tool or its administrator unlocks it', ends: true },
  unset: { text: 'it has no PIN yet: set one with the tool of the token', ends: true },
};

class TokenHolderKey implements HolderKey {
  readonly origin = 'token';
  readonly keyid: string;
  readonly publicKey: PublicKey;
  readonly serial: string;
  readonly #key: TokenKey;

  constructor(key: TokenKey) {
    this.#key = key;
    this.keyid = key.keyid;
    this.publicKey = key.publicKey;
    this.serial = key.serial;
  }

  async sign(message: Uint8Array): Promise<Signature> {
    const signature = await this.#key.sign(message);
    if (!(await parsePublicKey(this.publicKey).verify(message, signature))) {
      throw new CountersignError(
        'signer-invalid',
        `token ${this.serial} made a signature of key ${this.keyid} that does not verify`,
      );
    }
    return { keyid: this.keyid, sig: Buffer.from(signature).toString('hex') };
  }

  forget(): void {
    void this.#key.close();
  }
}
