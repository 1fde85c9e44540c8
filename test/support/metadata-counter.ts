// A process that counts to a number in count.json of a metadata directory, beside others that do the same.
import { hasCode } from '../../src/lib/errors.ts';
import { MetadataDirectory } from '../../src/storage/metadata-directory.ts';

const store = MetadataDirectory.open(process.argv[2] ?? '');
for (let done = 0; done < Number(process.argv[3]);) {
  const current = await store.read('count.json');
  const next = Number(Buffer.from(current ?? []).toString()) + 1;
  try {
    await store.exchange('count.json', current, Buffer.from(String(next)));
    done += 1;
  } catch (error) {
    if (!hasCode(error, 'store-conflict')) throw error;
  }
}
