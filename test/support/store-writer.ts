// A child process that writes to a file store until it is killed: `store-writer DIR TAG`. Prints each object's name
// when its write has resolved. `store-writer DIR TAG one` writes one object and prints the code of its error;
// `store-writer DIR TIMES stage` stages objects and writes none.
import { createHash } from 'node:crypto';
import { CountersignError, messageOf } from '../../src/lib/errors.ts';
import { openFileStore } from '../../src/storage/file-store.ts';

const [dir = '', tag = '', mode] = process.argv.slice(2);
const store = await openFileStore(dir);

/** Content that follows from the name: the reader can tell whether it is whole. */
function contentOf(name: string): Uint8Array {
  return Buffer.alloc(200_000, createHash('sha256').update(name).digest('hex'));
}

async function lane(lane: number): Promise<void> {
  for (let i = 0; ; i++) {
    const name = `metadata/${i + 1}.${tag}-${lane}.json`;
    await store.putImmutable(name, contentOf(name));
    process.stdout.write(`${name}\n`);
  }
}

/** Adds one to the number in the object, as often as it can; a conflict means that another process was first. */
async function count(times: number): Promise<void> {
  for (let done = 0; done < times;) {
    const current = await store.get('counter', 100);
    const value = current === undefined ? 0 : Number(Buffer.from(current.bytes).toString());
    try {
      await store.replace('counter', Buffer.from(String(value + 1)), current?.token);
      done += 1;
    } catch (error) {
      if (!(error instanceof CountersignError && error.code === 'store-conflict')) throw error;
    }
  }
}

if (mode === 'one') {
  try {
    await store.putImmutable(tag, contentOf(tag));
    process.stdout.write('written\n');
  } catch (error) {
    process.stdout.write(`${error instanceof CountersignError ? error.code : '?'} ${messageOf(error)}\n`);
  }
} else if (mode === 'stage') {
  for (let i = 0; i < Number(tag); i++)
    await store.stage?.(`metadata/${i + 1}.snapshot.json`, contentOf(`${i}`));
} else if (mode === 'count') {
  await count(Number(tag));
} else {
  await Promise.all([lane(0), lane(1), lane(2), lane(3), replaceForEver()]);
}

async function replaceForEver(): Promise<void> {
  for (;;) await count(1);
}
