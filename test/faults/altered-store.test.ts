import { memoryStore } from '../support/memory-store.ts';
import { alteredStoreSuite } from './altered-store.suite.ts';

alteredStoreSuite('a store in memory, altered', () => Promise.resolve(memoryStore()));
