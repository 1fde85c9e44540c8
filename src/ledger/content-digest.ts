// Whether two writes say the same: an event id that comes again, an intent that is settled.
import { sha256Hex } from '../lib/bytes.ts';
import { canonicalJson, type Canonicalizable } from '../tuf/canonical-json.ts';
import type { Change, Intent } from './ledger.ts';

/**
 * SHA-256 of the canonical JSON of `value`, lower-case hex: the order of keys makes no difference, that of changes does.
 * @throws CountersignError `metadata-invalid` when `value` has no canonical JSON.
 */
export function contentDigest(value: readonly Change[] | Intent): string {
  return sha256Hex(canonicalJson(value as unknown as Canonicalizable));
}
