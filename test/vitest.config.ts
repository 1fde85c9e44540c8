import process from 'node:process';
import { defineConfig } from 'vitest/config';

// The threads of a publication load the sources by themselves: Node before 24 needs to be told how.
const HOOKS = new URL('support/typescript-hooks.js', import.meta.url).href;
const REGISTER = `data:text/javascript,import{register}from"node:module";register(${JSON.stringify(HOOKS)})`;

export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/interop/**'],
    execArgv: Number.parseInt(process.versions.node) < 24 ? ['--import', REGISTER] : [],
    // More than there are cores: many tests wait for programs that they started.
    maxWorkers: 4,
    // What hangs is found; a computer that others keep busy does not matter.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
