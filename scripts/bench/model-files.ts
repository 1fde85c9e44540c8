// The target files of the model index, each a function of its number: nothing has to be kept to know all 16.4 million
// of them, and every run signs the same. Paths have the shape of PyPI's, 115 bytes on average.
import type { TargetFile } from '../../src/tuf/metadata.ts';

/** Files of the index have even seeds, files that the benchmark uploads odd ones: they never meet. */
export const INDEX_SEED = 2;

export interface ModelFile {
  readonly path: string;
  readonly target: TargetFile;
}

const SYLLABLES = [
  'py',
  'data',
  'net',
  'core',
  'flow',
  'lib',
  'test',
  'fast',
  'tiny',
  'cloud',
  'graph',
  'tool',
];

/** The path of file `number` of a `seed`. */
export function modelPath(seed: number, number: number): string {
  const digest = words(seed, number, 0).toString('hex');
  const mix = scramble(number ^ Math.imul(seed, 0x9e3779b1));
  const project = [0, 8, 16].map((shift) => SYLLABLES[(mix >>> shift) % SYLLABLES.length]).join('-');
  const release = `${mix & 7}.${(mix >>> 3) & 15}.${(mix >>> 7) & 15}`;
  const folders = `packages/${digest.slice(0, 2)}/${digest.slice(2, 4)}/${digest.slice(4)}`;
  return `${folders}/${project}-${release}-py3-none-any.whl`;
}

/** File `number` of a `seed`, with what the index says about it. */
export function modelFile(seed: number, number: number): ModelFile {
  const length = 1_000 + (scramble(number + seed) % 50_000_000);
  return {
    path: modelPath(seed, number),
    target: { length, hashes: { sha256: words(seed, number, 8).toString('hex') } },
  };
}

/** 32 bytes that look random. */
function words(seed: number, number: number, salt: number): Buffer {
  const bytes = Buffer.allocUnsafe(32);
  for (let i = 0; i < 8; i++) {
    const word = scramble(number + Math.imul(seed * 16 + salt + i + 1, 0x9e3779b1));
    bytes.writeUInt32BE(scramble(word ^ number) >>> 0, i * 4);
  }
  return bytes;
}

/** The finaliser of MurmurHash3: every bit of the input changes half of the output. */
function scramble(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
