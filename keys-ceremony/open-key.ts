// How a private key of a holder is opened: by the path of its file, or by its URI on a token.
import type { OpenHolderKey } from './holder-key.ts';
import { readKeyFile } from '../src/lib/private-file.ts';
import { openKeyFile } from './key-file.ts';
import { isTokenUri, openTokenKey, theToken } from './token-key.ts';

export const openHolderKey: OpenHolderKey = (reference, terminal) =>
  isTokenUri(reference) ? openTokenKey(reference, terminal) : openKeyFile(reference, terminal);

/**
 * Fails as `openHolderKey` would for a key whose stick or token is not there, and asks nothing.
 * @throws CountersignError `secret-unreadable`, `config-invalid`, `signer-unavailable`.
 */
export async function findHolderKey(reference: string): Promise<void> {
  await (isTokenUri(reference) ? theToken(reference) : readKeyFile(reference));
}
