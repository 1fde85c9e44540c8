// A process that replaces a.json of a metadata directory until it is killed; each version is 200,000 times one byte.
import { equalBytes } from '../../src/lib/bytes.ts';
import { MetadataDirectory } from '../../src/storage/metadata-directory.ts';

const store = MetadataDirectory.open(process.argv[2] ?? '');
for (let round = 0; ; round = (round + 1) % 256) {
  const next = Buffer.alloc(200_000, round);
  const current = await store.read('a.json');
  if (current === undefined || !equalBytes(current, next)) await store.exchange('a.json', current, next);
  process.stdout.write(`${round}\n`);
}
