// The signer with its key on a token: a security module, a smart card, or SoftHSM.
import { mapConcurrent } from '../lib/concurrency.ts';
import type { Signer } from './signer.ts';
import { openToken } from './pkcs11/token-key.ts';

/** Signatures that wait for a session at the same time; the token's own limit is in ./pkcs11/connection.ts. */
const PARALLEL_SIGNATURES = 4;

/**
 * @param uri A PKCS#11 URI (RFC 7512).
 * @param unattended True in a service, see ./pkcs11/login.ts.
 * @throws CountersignError `config-invalid`, `secret-unreadable` when the PIN is refused, `signer-unavailable`.
 */
export async function openPkcs11Signer(uri: string, pin: string, unattended: boolean): Promise<Signer> {
  const key = await openToken(uri, pin, { unattended });
  return {
    keyid: key.keyid,
    publicKey: key.publicKey,
    sign: (messages) => mapConcurrent(messages, PARALLEL_SIGNATURES, (message) => key.sign(message)),
    close: () => key.close(),
  };
}
