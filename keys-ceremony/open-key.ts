// How a private key of a holder is opened: by the path of its file, or by its URI on a token.
import type { OpenHolderKey } from './holder-key.ts';
import { openKeyFile } from './key-file.ts';
import { isTokenUri, openTokenKey } from './token-key.ts';

export const openHolderKey: OpenHolderKey = (reference, terminal) =>
  isTokenUri(reference) ? openTokenKey(reference, terminal) : openKeyFile(reference, terminal);
