// Each rule of fsck, broken in exactly one way, is reported under exactly its name.
/* eslint-disable @typescript-eslint/no-unsafe-member-access, @typescript-eslint/no-unsafe-assignment,
   @typescript-eslint/no-unsafe-argument, @typescript-eslint/no-unsafe-call, @typescript-eslint/no-unsafe-return,
   @typescript-eslint/no-dynamic-delete -- forged files are edited in places that the types of sound ones do not have */
import { describe, expect, test } from 'vitest';
import { FSCK_RULES, type FsckRuleId } from '../../src/client/fsck/rules.ts';
import { formatExpires } from '../../src/tuf/lifetimes.ts';
import { TIMESTAMP_NAME, versionedName } from '../../src/tuf/layout.ts';
import { throwawaySigner } from '../support/throwaway-signer.ts';
import { Forger, type Editable } from '../support/forger.ts';
import { expectSound, violationsOf } from '../support/oracle.ts';
import {
  accept,
  FOUNDED_AT,
  foundRepository,
  publishAll,
  publishPaths,
  targetOf,
  type TestRepository,
} from '../support/repository.ts';

const DAY_MS = 86_400_000;
const PATH = 'packages/a.whl';
const ROOT = 'metadata/1.root.json';
const TARGETS = 'metadata/1.targets.json';
const BINS = 'metadata/1.bins.json';
const SNAPSHOT = 'metadata/2.snapshot.json';

interface Scene {
  readonly repository: TestRepository;
  readonly forger: Forger;
  /** The bin of PATH: `metadata/2.bin-x.json`. */
  readonly bin: string;
  /** A bin that snapshot 1 and 2 name alike. */
  readonly emptyBin: string;
}

async function scene(format: 'succinct' | 'prefixes' = 'succinct'): Promise<Scene> {
  const repository = await foundRepository({ format });
  await publishPaths(repository, [PATH]);
  const { layout } = repository;
  const index = layout.indexOf(PATH);
  const bin = versionedName(layout.name(index), 2);
  const emptyBin = versionedName(layout.name((index + 1) % layout.count), 1);
  return { repository, forger: new Forger(repository), bin, emptyBin };
}

const EXPIRED = formatExpires(FOUNDED_AT - 1000);
const LATER = formatExpires(FOUNDED_AT + DAY_MS);

type Break = (scene: Scene) => Promise<void>;

const editTarget =
  (change: (target: Editable) => void): Break =>
  ({ forger, bin }) =>
    forger.edit(bin, (signed: Editable) => {
      change(signed.targets[PATH]);
    });

/** A path in place of PATH that hashes into the same bin. */
function pathInSameBin({ layout }: TestRepository, make: (n: number) => string): string {
  for (let n = 0; ; n++) if (layout.indexOf(make(n)) === layout.indexOf(PATH)) return make(n);
}

const CASES: readonly (readonly [rule: FsckRuleId, what: string, breakIt: Break])[] = [
  [
    'interop-1',
    'a succinct prefix that begins with a digit',
    ({ forger }) => forger.edit(BINS, (signed) => (signed.delegations.succinct_roles.name_prefix = '00')),
  ],
  [
    'interop-2',
    'a fraction of a second in a bin',
    ({ forger, bin }) => forger.edit(bin, (signed) => (signed.expires = LATER.replace('Z', '.000Z'))),
  ],
  [
    'interop-2',
    'a day that does not exist in the snapshot',
    ({ forger }) => forger.editSnapshot((signed) => (signed.expires = '2027-02-30T00:00:00Z')),
  ],
  [
    'interop-3',
    'a further field in a key of root',
    ({ forger }) =>
      forger.edit(ROOT, (signed) => {
        const [key] = Object.values<Editable>(signed.keys);
        key.keyid_hash_algorithms = ['sha256'];
      }),
  ],
  [
    'interop-3',
    'a key under the id of another',
    ({ forger }) =>
      forger.edit(BINS, (signed) => {
        const [key] = Object.values<Editable>(signed.delegations.keys);
        key.keyval.public = throwawaySigner(99).publicKey.keyval.public;
      }),
  ],
  ['interop-4', 'a second hash', editTarget((target) => (target.hashes.sha512 = 'ab'.repeat(64)))],
  [
    'interop-5',
    'a path with a space',
    ({ repository, forger, bin }) =>
      forger.edit(bin, (signed) => {
        signed.targets = { [pathInSameBin(repository, (n) => `with space ${n}`)]: signed.targets[PATH] };
      }),
  ],
  [
    'interop-6',
    'a delegation that does not reach every depth',
    ({ forger }) => forger.edit(TARGETS, (signed) => signed.delegations.roles[0].paths.pop()),
  ],
  [
    'interop-7',
    'hashes in the snapshot',
    ({ forger }) =>
      forger.editSnapshot((signed) => (signed.meta['targets.json'].hashes = { sha256: 'ab'.repeat(32) })),
  ],
  [
    'interop-7',
    'a timestamp without the length of the snapshot',
    ({ forger }) => forger.edit(TIMESTAMP_NAME, (signed) => delete signed.meta['snapshot.json'].length),
  ],
  [
    'interop-9',
    'no first root',
    async ({ repository, forger }) => {
      await addRoot(repository, forger);
      repository.store.tamper(ROOT, undefined);
    },
  ],
  [
    'interop-10',
    'a target file without its hash',
    async ({ repository }) => {
      await repository.store.putImmutable('targets/packages/a.whl', Buffer.from('a'));
    },
  ],
  [
    'interop-12',
    'fewer bins than an older snapshot',
    // The names of eight bins are the names of the first eight of sixteen.
    ({ forger }) =>
      forger.edit('metadata/1.snapshot.json', (signed) => {
        for (const name of Object.keys(signed.meta as object)) {
          if (/^bin-[89a-f]/.test(name)) delete signed.meta[name];
        }
      }),
  ],
  ['interop-13', 'a length of 0', editTarget((target) => (target.length = 0))],
  [
    'interop-13',
    'a number beyond 2^53',
    ({ forger, bin }) => forger.signAsIs(bin, (text) => text.replace(/"length":\d+/, '"length":9007199254740993')),
  ],
  [
    'interop-13',
    'a key twice',
    ({ forger }) => forger.signAsIs(ROOT, (text) => text.replace('{', '{"_type":"root",')),
  ],
  [
    'interop-13',
    'a root without consistent_snapshot',
    ({ forger }) => forger.edit(ROOT, (signed) => (signed.consistent_snapshot = false)),
  ],
  [
    'interop-14',
    'white space in a bin',
    ({ forger, bin }) => forger.replaceText(bin, '{"signed":', '{ "signed":'),
  ],
  [
    'interop-14',
    'target paths out of order',
    async ({ repository, forger, bin }) => {
      const [one, two] = [1, 2].map((n) => pathInSameBin(repository, (m) => `p${n}-${m}`));
      await forger.edit(bin, (signed) => {
        const target: Editable = signed.targets[PATH];
        signed.targets = { [one ?? '']: target, [two ?? '']: target };
      });
      await forger.replaceText(bin, one ?? '', 'XX');
      await forger.replaceText(bin, two ?? '', one ?? '');
      await forger.replaceText(bin, 'XX', two ?? '');
    },
  ],
  [
    'interop-15',
    'a timestamp above the limit of clients',
    ({ forger }) => forger.edit(TIMESTAMP_NAME, (signed) => (signed['x-padding'] = 'x'.repeat(17_000))),
  ],
  [
    'interop-16',
    '__proto__ in custom data',
    ({ forger, bin }) =>
      forger.signAsIs(bin, (text) => text.replace('"hashes"', '"custom":{"__proto__":{"a":1}},"hashes"')),
  ],
  [
    'tuf-4',
    'a bin that is no targets metadata',
    ({ forger, emptyBin }) => forger.edit(emptyBin, (signed) => (signed._type = 'mirrors')),
  ],
  [
    'tuf-4.2.1',
    'a signature twice',
    async ({ forger, bin }) => forger.replaceText(bin, /("signatures":\[)(.*)(\]\})$/, '$1$2,$2$3'),
  ],
  [
    'tuf-5.3.4',
    'a second root that the first one does not know',
    async ({ repository, forger }) => {
      const stranger = new Forger(await foundRepository({ seed: 7 }));
      const signed: Editable = JSON.parse((await stranger.bytes(ROOT)).toString()).signed;
      const online = JSON.parse((await forger.bytes(ROOT)).toString()).signed;
      signed.version = 2;
      signed.keys = { ...online.keys, ...signed.keys };
      signed.roles = { ...online.roles, root: signed.roles.root };
      await stranger.write('metadata/2.root.json', signed);
      repository.store.tamper('metadata/2.root.json', await stranger.bytes('metadata/2.root.json'));
    },
  ],
  [
    'tuf-5.3.5',
    'a root under the name of another version',
    async ({ repository, forger }) => {
      repository.store.tamper('metadata/2.root.json', await forger.bytes(ROOT));
    },
  ],
  ['tuf-5.3.10', 'an expired root', ({ forger }) => forger.edit(ROOT, (signed) => (signed.expires = EXPIRED))],
  [
    'tuf-5.4.1',
    'no timestamp',
    async ({ repository }) => {
 repository.store.tamper(TIMESTAMP_NAME, undefined);
 await Promise.resolve();
},
  ],
  [
    'tuf-5.4.2',
    'a timestamp whose signature does not verify',
    ({ forger }) => forger.replaceText(TIMESTAMP_NAME, /"sig":"../, '"sig":"00'),
  ],
  [
    'tuf-5.4.4',
    'an expired timestamp',
    ({ forger }) => forger.edit(TIMESTAMP_NAME, (signed) => (signed.expires = EXPIRED)),
  ],
  [
    'tuf-5.5.1',
    'no snapshot',
    async ({ repository }) => {
 repository.store.tamper(SNAPSHOT, undefined);
 await Promise.resolve();
},
  ],
  [
    'tuf-5.5.2',
    'another snapshot than timestamp says',
    ({ forger }) => forger.edit(SNAPSHOT, (signed) => (signed.expires = LATER.replace('00Z', '01Z'))),
  ],
  [
    'tuf-5.5.3',
    'a snapshot whose signature does not verify',
    async ({ forger }) => {
      await forger.replaceText(SNAPSHOT, /"sig":"../, '"sig":"00');
      await forger.pointTimestamp();
    },
  ],
  [
    'tuf-5.5.4',
    'a snapshot under the name of another version',
    ({ forger }) => forger.editSnapshot((signed) => (signed.version = 3)),
  ],
  [
    'tuf-5.5.5',
    'a version that goes back',
    async ({ repository, forger, emptyBin }) => {
      repository.store.tamper(emptyBin.replace('/1.', '/2.'), await forger.bytes(emptyBin));
      await forger.edit(emptyBin.replace('/1.', '/2.'), (signed) => (signed.version = 2));
      await forger.edit('metadata/1.snapshot.json', (signed) => {
        signed.meta[emptyBin.replace('metadata/1.', '')].version = 2;
      });
    },
  ],
  [
    'tuf-5.5.6',
    'an expired snapshot',
    ({ forger }) => forger.editSnapshot((signed) => (signed.expires = EXPIRED)),
  ],
  [
    'tuf-5.6.1',
    'a missing bin',
    async ({ repository, bin }) => {
 repository.store.tamper(bin, undefined);
 await Promise.resolve();
},
  ],
  [
    'tuf-5.6.3',
    'a bin whose signature does not verify',
    ({ forger, bin }) => forger.replaceText(bin, /"sig":"../, '"sig":"00'),
  ],
  [
    'tuf-5.6.4',
    'a bin under the name of another version',
    ({ forger, bin }) => forger.edit(bin, (signed) => (signed.version = 7)),
  ],
  [
    'tuf-5.6.5',
    'expired targets',
    ({ forger }) => forger.edit(TARGETS, (signed) => (signed.expires = EXPIRED)),
  ],
  [
    'tuf-5.6.7',
    'a path in the wrong bin',
    ({ forger, emptyBin }) =>
      forger.edit(emptyBin, (signed) => {
        const { length, hashes } = targetOf('a');
        signed.targets[PATH] = { length, hashes };
      }),
  ],
  [
    'pep458-roles',
    'target files in the role targets',
    ({ forger }) => forger.edit(TARGETS, (signed) => (signed.targets = { [PATH]: { ...targetOf('a') } })),
  ],
  [
    'pep458-keys',
    'the online key among the root keys',
    ({ repository, forger }) =>
      forger.edit(ROOT, (signed) => signed.roles.root.keyids.push(repository.signer.keyid)),
  ],
  [
    'storage-unknown-name',
    'an object that nobody knows',
    async ({ repository }) => {
 repository.store.tamper('metadata/backup.tar', Buffer.from('x'));
 await Promise.resolve();
},
  ],
  [
    'storage-unknown-name',
    'a role that the snapshot does not have',
    async ({ repository, forger, emptyBin }) => {
      repository.store.tamper('metadata/1.bin-0000.json', await forger.bytes(emptyBin));
    },
  ],
  [
    'storage-ahead',
    'a snapshot two ahead of timestamp',
    async ({ repository, forger }) => {
      repository.store.tamper('metadata/4.snapshot.json', await forger.bytes(SNAPSHOT));
    },
  ],
  [
    'storage-gap',
    'a missing snapshot in between',
    async ({ repository }) => {
      await publishPaths(repository, ['packages/b.whl']);
      repository.store.tamper(SNAPSHOT, undefined);
    },
  ],
  [
    'storage-retained',
    'a bin that only an older snapshot names',
    async ({ repository, bin }) => {
 repository.store.tamper(bin.replace('/2.', '/1.'), undefined);
 await Promise.resolve();
},
  ],
];

/** A second root, the same as the first apart from its version. */
async function addRoot(repository: TestRepository, forger: Forger): Promise<void> {
  repository.store.tamper('metadata/2.root.json', await forger.bytes(ROOT));
  await forger.edit('metadata/2.root.json', (signed) => (signed.version = 2));
}

async function brokenRules({ store, clock }: TestRepository): Promise<string[]> {
  return [...new Set((await violationsOf({ store, clock })).map(({ rule }) => rule))];
}

test.each(CASES)('%s: %s', async (rule, _what, breakIt) => {
  const broken = await scene();
  await breakIt(broken);
  expect(await brokenRules(broken.repository)).toEqual([rule]);
});

describe('with prefixes', () => {
  test.each([
    ['interop-1', (role: Editable) => (role.name = '00')],
    ['interop-3', (role: Editable) => (role.comment = 'x')],
    ['interop-11', (role: Editable) => (role.name = 'bin-1')],
    ['pep458-roles', (role: Editable) => (role.terminating = false)],
  ])('%s', async (rule, change) => {
    const { repository, forger } = await scene('prefixes');
    await expectSound(repository);
    await forger.edit(BINS, (signed) => {
      change(signed.delegations.roles[0]);
    });
    expect(await brokenRules(repository)).toEqual([rule]);
  });
});

test('interop-8: another root than the trusted one of the same version', async () => {
  const { repository, forger } = await scene();
  const trusted = await forger.bytes(ROOT);
  await expectSound({ ...repository, rootBytes: trusted });
  await forger.edit(ROOT, (signed) => (signed.expires = formatExpires(FOUNDED_AT + 9 * DAY_MS)));
  const violations = await violationsOf({ ...repository, rootBytes: trusted });
  expect(violations).toMatchObject([{ rule: 'interop-8', name: ROOT }]);
});

test('a trusted root that is newer than every root in the store', async () => {
  const { repository, forger } = await scene();
  await addRoot(repository, forger);
  const trusted = await forger.bytes('metadata/2.root.json');
  repository.store.tamper('metadata/2.root.json', undefined);
  const violations = await violationsOf({ ...repository, rootBytes: trusted });
  expect(violations).toMatchObject([{ rule: 'interop-9', name: 'metadata/2.root.json' }]);
});

test('ledger-head: the store was rolled back', async () => {
  const { repository, forger } = await scene();
  const before = await forger.bytes(TIMESTAMP_NAME);
  await publishPaths(repository, ['packages/b.whl']);
  await expectSound(repository);
  repository.store.tamper(TIMESTAMP_NAME, before);
  const violations = await violationsOf(repository);
  expect(violations).toMatchObject([{ rule: 'ledger-head', name: TIMESTAMP_NAME }]);
  expect(violations[0]?.message).toBe('names snapshot 2, the ledger is at snapshot 3');
});

test('ledger-bins: a bin with another expiry than was recorded', async () => {
  const { repository, forger, bin } = await scene();
  await forger.edit(bin, (signed) => (signed.expires = formatExpires(FOUNDED_AT + 5000)));
  expect(await violationsOf(repository)).toMatchObject([{ rule: 'ledger-bins', name: bin }]);
});

test('a sound repository stays sound: renewals, removals, custom data, ECDSA, a further root', async () => {
  const repository = await foundRepository({ algorithm: 'ecdsa-p256' });
  await expectSound(repository);
  const custom = { yanked: true, 'requires-python': '>=3.9', note: 'a "quoted" \\ é 𝒳', nested: { a: [1, null] } };
  await accept(repository, [
    { op: 'add', path: PATH, target: { ...targetOf('a'), custom } },
    { op: 'add', path: 'packages/b+1~2@x!.whl', target: targetOf('b') },
  ]);
  await publishAll(repository);
  await expectSound(repository);
  await accept(repository, [{ op: 'remove', path: PATH }]);
  repository.clock.advance(DAY_MS / 2);
  await publishAll(repository);
  await addRoot(repository, new Forger(repository));
  await expectSound({ ...repository, rootBytes: repository.rootBytes });
});

test('several violations are all listed', async () => {
  const { repository, forger, bin, emptyBin } = await scene();
  await forger.replaceText(bin, /"sig":"../, '"sig":"00');
  repository.store.tamper(emptyBin, undefined);
  await forger.edit(TIMESTAMP_NAME, (signed) => (signed.expires = EXPIRED));
  expect((await brokenRules(repository)).sort()).toEqual(['tuf-5.4.4', 'tuf-5.6.1', 'tuf-5.6.3']);
});

test('every rule is tested here', () => {
  // former-bins: test/faults/rebin.test.ts. simple-…: test/faults/simple-index.test.ts.
  const elsewhere = ['simple-object', 'simple-files', 'interop-8', 'interop-11', 'former-bins', 'ledger-head', 'ledger-bins'];
  const tested = new Set<string>([...CASES.map(([rule]) => rule), ...elsewhere]);
  expect(Object.keys(FSCK_RULES).filter((rule) => !tested.has(rule))).toEqual([]);
});
