// Attacks of a mirror that holds no key: it can only choose among bytes that were signed, and make up others.
import { asBuffer, sha256Hex, utf8 } from '../../../src/lib/bytes.ts';
import { METADATA_PREFIX, TIMESTAMP_NAME, versionedName } from '../../../src/tuf/layout.ts';
import type { Answer, Attack, AttackKind } from './attack.ts';
import { makeKeys } from './forgeable-repository.ts';
import {
  metadataPath,
  pagePath,
  PRIZE,
  projectPage,
  release,
  wheelMetadata,
  wheelPath,
  type Scene,
} from './scene.ts';
import { altered, siteOf, targetName, type Lies } from './site.ts';

/** Milliseconds by which something has expired. */
const HOUR_MS = 3_600_000;

export function mirrorAttacks(scene: Scene): Attack[] {
  const { today, yesterday, wheel, evilWheel, helper } = scene;
  const path = wheelPath(PRIZE, wheel);
  const page = pagePath(PRIZE);
  const published = targetName(path, wheel.bytes);
  const pageName = targetName(page, contentOf(scene, page));
  const metadataName = targetName(metadataPath(PRIZE, wheel), contentOf(scene, metadataPath(PRIZE, wheel)));
  const row = (kind: AttackKind, name: string, does: string, lies: Lies): Attack => ({
    name,
    kind,
    does,
    holds: 'no key',
    site: siteOf(today, lies),
    goal: 'refused',
  });
  const snapshot = versionedName('snapshot', today.versions.snapshot);
  const expired = altered(yesterday, (it) => {
    it.signSnapshot({ expires: scene.now - HOUR_MS });
    it.signTimestamp({ expires: scene.now - HOUR_MS });
  });
  return [
    row('arbitrary software installation', 'altered-file', 'one byte of the wheel is another one', [
      [published, withOneByteAltered(wheel.bytes)],
    ]),
    row('arbitrary software installation', 'other-file', 'another wheel of the same name and length', [
      [published, ofLength(evilWheel.bytes, wheel.bytes.length)],
    ]),
    row(
      'arbitrary software installation',
      'forged-bin',
      'the bin lists another wheel, its signature is the old one',
      [
        ...(['', '.metadata'] as const).flatMap((): Lies => []),
        [today.binName(path), utf8(forged(today.file(today.binName(path)), wheel.bytes, evilWheel.bytes))],
        [targetName(path, evilWheel.bytes), evilWheel.bytes],
      ],
    ),
    {
      name: 'forged-chain',
      kind: 'arbitrary software installation',
      does: "bins, snapshot and timestamp signed with the mirror's own key",
      holds: 'no key',
      site: siteOf(
        altered(today, (it) => {
          it.keys = { ...it.keys, online: { ...scene.thief, id: it.keys.online.id } };
          it.publish(release(PRIZE, [evilWheel]));
        }),
      ),
      goal: 'refused',
    },
    {
      name: 'forged-root',
      kind: 'arbitrary software installation',
      does: "a new root with the mirror's own keys, and everything below it",
      holds: 'no key',
      site: siteOf(
        altered(today, (it) => {
          it.keys = makeKeys();
          it.versions.root += 1;
          it.signRoot();
          it.signTargets();
          it.signBins();
          it.signEveryBin();
          it.publish(release(PRIZE, [evilWheel]));
        }),
      ),
      goal: 'refused',
    },
    {
      ...row('rollback', 'rollback-root', 'root 1 again, as root 3', [
        [versionedName('root', 3), yesterday.file(versionedName('root', 1))],
      ]),
      before: siteOf(today),
    },
    {
      ...row('rollback', 'rollback-timestamp', "yesterday's repository, all of it valid", []),
      before: siteOf(today),
      site: siteOf(yesterday),
    },
    {
      ...row(
        'indefinite freeze',
        'freeze-timestamp',
        "yesterday's repository; timestamp and snapshot have expired",
        [],
      ),
      site: siteOf(expired),
    },
    row('endless data', 'endless-root', 'the next root has no end', [[versionedName('root', 3), 'endless']]),
    row('endless data', 'endless-timestamp', 'timestamp has no end', [[TIMESTAMP_NAME, 'endless']]),
    row('endless data', 'endless-compressed', 'timestamp is a small body that unpacks without end', [
      [TIMESTAMP_NAME, 'endless-compressed'],
    ]),
    row('endless data', 'endless-snapshot', 'snapshot has no end', [[snapshot, 'endless']]),
    row('endless data', 'endless-bin', 'a bin has no end', [[today.binName(page), 'endless']]),
    row('endless data', 'endless-file', 'the wheel has no end', [[published, 'endless']]),
    row('slow retrieval', 'silent-timestamp', 'timestamp is never answered', [[TIMESTAMP_NAME, 'silence']]),
    row('slow retrieval', 'trickled-timestamp', 'timestamp comes at one byte a second', [
      [TIMESTAMP_NAME, 'trickle'],
    ]),
    row('slow retrieval', 'trickled-bin', 'a bin comes at one byte a second', [
      [today.binName(page), 'trickle'],
    ]),
    row('slow retrieval', 'trickled-file', 'the wheel comes at one byte a second', [[published, 'trickle']]),
    row('extraneous dependencies', 'extraneous-dependency', "the wheel's metadata asks for another project", [
      [metadataName, wheelMetadata(wheel, 'helper')],
    ]),
    row('extraneous dependencies', 'extraneous-file', "the project's page links to one more wheel", [
      [
        pageName,
        projectPage(PRIZE, [wheel, { ...evilWheel, fileName: wheel.fileName.replace('1.1', '9.9') }]),
      ],
    ]),
    row('mix-and-match', 'mixed-snapshot', "today's timestamp, yesterday's snapshot under its name", [
      [snapshot, yesterday.file(versionedName('snapshot', yesterday.versions.snapshot))],
    ]),
    row('mix-and-match', 'mixed-targets', "today's snapshot, yesterday's targets under its name", [
      [versionedName('targets', 2), yesterday.file(versionedName('targets', 1))],
    ]),
    row('mix-and-match', 'mixed-bin', "today's snapshot, yesterday's bin under its name", [
      [today.binName(page), yesterday.file(yesterday.binName(page))],
    ]),
    row('mix-and-match', 'swapped-bin', 'another bin of the same version, in the place of the right one', [
      [today.binName(page), swappedBin(scene, today.binName(page))],
    ]),
    row(
      'wrong software installation',
      'wrong-file',
      "another project's wheel, which is signed too, as the wheel",
      [[published, helper.bytes]],
    ),
    row(
      'wrong software installation',
      'wrong-page',
      "another project's page, which is signed too, as the page",
      [[pageName, contentOf(scene, pagePath('helper'))]],
    ),
    row(
      'wrong software installation',
      'wrong-scheme',
      "timestamp is sent on to a file of the client's computer",
      [[TIMESTAMP_NAME, 'redirect-to-file']],
    ),
    ...preventions(scene, row),
  ];
}

/** A mirror that gives nothing, or rubbish; then a good one, for the same client. */
function preventions(
  { today, wheel }: Scene,
  row: (kind: AttackKind, name: string, does: string, lies: Lies) => Attack,
): Attack[] {
  const kind = 'malicious mirror preventing updates';
  const then = (name: string, does: string, lies: Lies): Attack => ({
    ...row(kind, name, `${does}; then a good mirror`, []),
    before: siteOf(today, lies),
    site: siteOf(today),
    goal: 'served',
  });
  const rubbish: Answer = utf8('{"signed":{"_type":"root","version":9007199254740993},"signatures":[]}');
  const everything = (answer: Answer | undefined): Lies =>
    [...today.files.keys()].map((name) => [name, answer]);
  return [
    then('withheld-everything', 'nothing exists', everything(undefined)),
    then('withheld-snapshot', 'snapshot does not exist', [
      [versionedName('snapshot', today.versions.snapshot), undefined],
    ]),
    then('withheld-file', 'the wheel does not exist', [
      [targetName(wheelPath(PRIZE, wheel), wheel.bytes), undefined],
    ]),
    then('faults', 'every answer is a fault of the server', everything('fault')),
    then('rubbish-root', 'the next root is rubbish', [[versionedName('root', 3), rubbish]]),
    then('rubbish-everywhere', 'every file is rubbish', everything(rubbish)),
    then('cut-snapshot', 'snapshot ends in the middle', [
      [
        versionedName('snapshot', today.versions.snapshot),
        today.file(versionedName('snapshot', today.versions.snapshot)).subarray(0, 300),
      ],
    ]),
  ];
}

/** A bin of the same version as the one that was asked for: signed by the same key, it says nothing of the path. */
function swappedBin({ today }: Scene, asked: string): Uint8Array {
  const [, version = ''] = /(\d+)\.bin-/.exec(asked) ?? [];
  const prefix = `${METADATA_PREFIX}${version}.bin-`;
  const other = [...today.files.keys()].find((name) => name.startsWith(prefix) && name !== asked);
  if (other === undefined) throw new Error(`no other bin has version ${version}`);
  return today.file(other);
}

function contentOf({ today }: Scene, path: string): Uint8Array {
  const bytes = today.content.get(path);
  if (bytes === undefined) throw new Error(`${path} is not published`);
  return bytes;
}

function withOneByteAltered(bytes: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(bytes);
  const middle = Math.floor(copy.length / 2);
  copy[middle] = (copy[middle] ?? 0) ^ 1;
  return copy;
}

function ofLength(bytes: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  return copy;
}

/** A bin's text with the hash and length of one file in the place of another's. */
function forged(bin: Uint8Array, from: Uint8Array, to: Uint8Array): string {
  return asBuffer(bin)
    .toString()
    .replace(sha256Hex(from), sha256Hex(to))
    .replace(`"length":${from.length}`, `"length":${to.length}`);
}
