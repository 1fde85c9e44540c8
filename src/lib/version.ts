// The version of this program; test/architecture.test.ts holds it equal to package.json.
export const VERSION = '0.1.0';

/** Milliseconds since the epoch: this version did not exist before; raised with it. */
export const RELEASED = Date.UTC(2026, 10, 1);
