// What a mirror without a key can try, and that a client which knows only root.json refuses each of it. First the same
// mirror tells the truth, so that a refusal means the lie and nothing else.
import path from 'node:path';
import { asBuffer, sha256Hex, utf8 } from '../lib/bytes.ts';
import { hashedTargetPath } from '../tuf/layout.ts';
import { demoFailed, expectFact } from './failure.ts';
import { startMirror, type Lie } from './lying-mirror.ts';
import { OutsideClient, refusalOf, type Refusal } from './outside-client.ts';

/** The target file that is fought over. */
export interface Prize {
  readonly path: string;
  readonly bytes: Uint8Array;
}

export interface Battlefield {
  /** The repository, `http://127.0.0.1:41234`. */
  readonly address: string;
  readonly rootFile: string;
  /** Where the clients of this file keep their state: a new directory. */
  readonly directory: string;
  readonly prize: Prize;
  /** A timestamp.json that the repository published earlier. */
  readonly oldTimestamp: Uint8Array;
}

export interface Attack {
  readonly name: string;
  readonly refused: Refusal;
}

interface Plan {
  readonly name: string;
  readonly lie: Lie;
  /** What tuf-js must say, its error class first: anything else would be a refusal for a wrong reason. */
  readonly refusal: RegExp;
  /** True for a lie that only a client with a memory can see through. */
  readonly afterTruth?: true;
}

/**
 * Lets mirrors lie to clients.
 * @throws CountersignError `demo-failed` when an honest mirror is refused, or a lie is believed.
 */
export async function attackClients(field: Battlefield): Promise<Attack[]> {
  const { directory, rootFile, prize } = field;
  await withMirror(
    field,
    () => undefined,
    async (address) => {
      const client = await OutsideClient.create(path.join(directory, 'honest-mirror'), rootFile);
      await client.download(address, prize.path);
    },
  );
  const attacks: Attack[] = [];
  for (const [index, plan] of plansOf(field).entries()) {
    const client = await OutsideClient.create(path.join(directory, `attack-${index + 1}`), rootFile);
    if (plan.afterTruth === true) await client.refresh(field.address);
    const refused = await withMirror(field, plan.lie, async (address, lies) => {
      const refusal = await refusalOf(client.download(address, prize.path));
      expectFact(lies() > 0, `the mirror with ${plan.name} was never asked for what it lies about`);
      return refusal;
    });
    if (refused === undefined) throw demoFailed(`tuf-js believed a mirror with ${plan.name}`);
    expectFact(
      plan.refusal.test(`${refused.kind}: ${refused.message}`),
      `tuf-js refused ${plan.name} for another reason, ${refused.kind}: ${refused.message}`,
    );
    attacks.push({ name: plan.name, refused });
  }
  return attacks;
}

function plansOf({ prize, oldTimestamp }: Battlefield): readonly Plan[] {
  const sha256 = sha256Hex(prize.bytes);
  const published = `/targets/${hashedTargetPath(prize.path, sha256)}`;
  const evil = utf8('import os  # not what was published\n');
  const evilPublished = `/targets/${hashedTargetPath(prize.path, sha256Hex(evil))}`;
  return [
    {
      name: 'one byte altered',
      lie: (asked, truth) => (asked === published && truth ? withOneByteAltered(truth) : undefined),
      refusal: /^LengthOrHashMismatchError: /,
    },
    {
      // The hash of another file in the bin, and that file: consistent, but nobody signed it.
      name: 'a forged bin',
      lie: (asked, truth) => {
        if (asked === evilPublished) return evil;
        const text = asked.startsWith('/metadata/') && truth ? asBuffer(truth).toString() : '';
        if (!text.includes(sha256)) return undefined;
        return utf8(
          text
            .replace(sha256, sha256Hex(evil))
            .replace(`"length":${prize.bytes.length}`, `"length":${evil.length}`),
        );
      },
      refusal: /: bin-[0-9a-f]+ was signed by 0\/1 keys$/,
    },
    {
      name: 'an old timestamp',
      lie: (asked) => (asked === '/metadata/timestamp.json' ? oldTimestamp : undefined),
      refusal: /^BadVersionError: /,
      afterTruth: true,
    },
  ];
}

function withOneByteAltered(truth: Uint8Array): Uint8Array {
  const altered = Uint8Array.from(truth);
  const middle = Math.floor(altered.length / 2);
  altered[middle] = (altered[middle] ?? 0) ^ 1;
  return altered;
}

async function withMirror<T>(
  { address }: Battlefield,
  lie: Lie,
  work: (address: string, lies: () => number) => Promise<T>,
): Promise<T> {
  const mirror = await startMirror(address, lie);
  try {
    return await work(mirror.address, mirror.lies);
  } finally {
    await mirror.close();
  }
}
