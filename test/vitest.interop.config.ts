import { defineConfig } from 'vitest/config';

// Needs programs that are not in the package registry of Node; `npm run test:interop` installs them once.
export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    include: ['test/interop/**/*.test.ts'],
    testTimeout: 120_000,
    hookTimeout: 300_000,
    // Each file starts a server of its own.
    fileParallelism: false,
    // Two runs at once would write the same file of past durations.
    cache: false,
  },
});
