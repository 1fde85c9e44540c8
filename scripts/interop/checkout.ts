// Where the checkout is, whether this module runs as it is written or as it was built into dist.
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const parent = path.resolve(fileURLToPath(new URL('../..', import.meta.url)));
const CHECKOUT = path.basename(parent) === 'dist' ? path.dirname(parent) : parent;

/** A file of the checkout by its name from the top, such as `dist/src/main.js`. */
export function inCheckout(name: string): string {
  return path.join(CHECKOUT, name);
}
