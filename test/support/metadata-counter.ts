// A process that counts to a number in count.json of a metadata directory, beside others that do the same. Its name is
// in what it writes: the same content from two processes is one exchange, by contract, and would count once.
import { hasCode } from '../../src/lib/errors.ts';
import { MetadataDirectory } from '../../src/storage/metadata-directory.ts';

const [directory = '', times = '0', name = ''] = process.argv.slice(2);
const store = MetadataDirectory.open(directory);
for (let done = 0; done < Number(times);) {
  const current = await store.read('count.json');
  const counted = Number.parseInt(Buffer.from(current ?? []).toString() || '0', 10);
  try {
    await store.exchange('count.json', current, Buffer.from(`${counted + 1} ${name}`));
    done += 1;
  } catch (error) {
    if (!hasCode(error, 'store-conflict')) throw error;
  }
}
