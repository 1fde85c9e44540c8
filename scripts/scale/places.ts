// Where the built programs and the sources beside them are.
import { join } from 'node:path';

export const MAIN = join(import.meta.dirname, '../../src/main.js');
export const CEREMONY = join(import.meta.dirname, '../../keys-ceremony/main.js');
export const REPOSITORY_ROOT = join(import.meta.dirname, '../../..');
