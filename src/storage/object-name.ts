// Which names an object may have, the same in every store. Defence in depth: layout.ts makes every name, but a name of
// another origin must not leave the store's directory or prefix.
import { CountersignError } from '../lib/errors.ts';

/** Segments that begin with a period are none: ".", ".." and the store's own objects. */
export function isPlainName(name: string): boolean {
  if (name.includes('\\') || name.includes('\0')) return false;
  return name.split('/').every((segment) => segment !== '' && !segment.startsWith('.'));
}

/** @throws CountersignError `metadata-invalid`. */
export function checkName(name: string): void {
  if (isPlainName(name)) return;
  throw new CountersignError('metadata-invalid', `object name ${JSON.stringify(name)} is not a plain path`);
}
