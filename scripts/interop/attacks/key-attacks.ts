// Attacks of a mirror that has stolen keys: fewer than a threshold, or the online key, and what becomes of clients after
// it was revoked.
import type { Attack, AttackKind } from './attack.ts';
import { binOf, makeKeys, type ForgeableRepository, type RepositoryKeys } from './forgeable-repository.ts';
import { pagePath, PRIZE, release, type Scene } from './scene.ts';
import { altered, siteOf } from './site.ts';
import { makeKey } from './test-keys.ts';

const HOUR_MS = 3_600_000;

/** Beyond what any honest publisher reaches, below 2^31: no client's integers end there. */
const FAR_AHEAD = 2_000_000_000;

export function keyAttacks(scene: Scene): Attack[] {
  return [...onlineKeyAttacks(scene), ...thresholdAttacks(scene), ...recoveries(scene)];
}

/** With the online key anything can be signed into a bin, until it is revoked; but nothing can be made older. */
function onlineKeyAttacks({ now, today, yesterday }: Scene): Attack[] {
  const page = pagePath(PRIZE);
  const row = (
    kind: AttackKind,
    name: string,
    does: string,
    change: (it: ForgeableRepository) => void,
  ): Attack => ({
    name,
    kind,
    does,
    holds: 'the online key',
    ...(kind === 'rollback' ? { before: siteOf(today) } : {}),
    site: siteOf(altered(today, change)),
    goal: 'refused',
  });
  /** A new snapshot that names other versions; undefined: none. */
  const naming = (versions: Readonly<Record<string, number | undefined>>) => (it: ForgeableRepository) => {
    it.versions.snapshot += 1;
    it.versions.timestamp += 1;
    it.signSnapshot({}, versions);
    it.signTimestamp();
  };
  const expired = { expires: now - HOUR_MS };
  return [
    row('rollback', 'rollback-snapshot', "a new timestamp names yesterday's snapshot", (it) => {
      it.versions.timestamp += 1;
      it.signTimestamp({}, yesterday.versions.snapshot);
    }),
    row('rollback', 'rollback-targets', "a new snapshot names yesterday's targets", naming({ targets: 1 })),
    row('rollback', 'rollback-bins', "a new snapshot names yesterday's bins", naming({ bins: 1 })),
    row(
      'rollback',
      'rollback-bin',
      "a new snapshot names yesterday's version of a bin",
      naming({ [binOf(page)]: versionIn(yesterday.binName(page)) }),
    ),
    row(
      'rollback',
      'rollback-removal',
      'a new snapshot does not name the bin any more',
      naming({ [binOf(page)]: undefined }),
    ),
    row('indefinite freeze', 'freeze-snapshot', 'a fresh timestamp for a snapshot that has expired', (it) => {
      it.signSnapshot(expired);
      it.signTimestamp();
    }),
    row('indefinite freeze', 'freeze-bin', 'a fresh snapshot for a bin that has expired', (it) => {
      it.signBin(page, expired);
    }),
    {
      ...row(
        'indefinite freeze',
        'freeze-root',
        'newer roots are withheld; the last one shown has expired',
        () => undefined,
      ),
      holds: 'no key',
      site: siteOf(
        altered(today, (it) => {
          it.signRoot(expired);
        }),
      ),
    },
    {
      ...row(
        'indefinite freeze',
        'freeze-targets',
        'a fresh snapshot for a targets role that has expired',
        (it) => {
          it.signTargets(expired);
        },
      ),
    },
  ];
}

function thresholdAttacks({ today, thief, evilWheel }: Scene): Attack[] {
  const row = (name: string, does: string, change: (it: ForgeableRepository) => void): Attack => ({
    name,
    kind: 'key compromise below the threshold',
    does,
    holds: 'one key of several',
    site: siteOf(altered(today, change)),
    goal: 'refused',
  });
  const [rootKey, otherRootKey, thirdRootKey] = today.keys.root;
  const [targetsKey] = today.keys.targets;
  const [binsKey] = today.keys.bins;
  if (!rootKey || !otherRootKey || !thirdRootKey || !targetsKey || !binsKey)
    throw new Error('a key is missing');
  /** The attacker's own key signs everything online. */
  const takeOver = (it: ForgeableRepository): void => {
    it.keys = { ...it.keys, online: thief };
  };
  const everythingBelow = (it: ForgeableRepository): void => {
    it.signTargets();
    it.signBins();
    it.signEveryBin();
    it.publish(release(PRIZE, [evilWheel]));
  };
  const newRoot = (signers: RepositoryKeys['root']) => (it: ForgeableRepository) => {
    it.versions.root += 1;
    takeOver(it);
    it.keys = { ...it.keys, targets: [thief, makeKey()], bins: [thief, makeKey()] };
    it.signRoot({ signers });
    everythingBelow(it);
  };
  return [
    row('one-root-key', 'a new root signed with one root key of the two that must sign', newRoot([rootKey])),
    row(
      'one-root-key-twice',
      'a new root that bears two signatures of the one key, under two key ids',
      newRoot([rootKey, { ...rootKey, id: otherRootKey.id }, { ...rootKey, id: thirdRootKey.id }]),
    ),
    row('one-targets-key', 'new targets and bins, signed with one targets key of two', (it) => {
      takeOver(it);
      it.keys = { ...it.keys, bins: [thief, makeKey()] };
      it.versions.targets += 1;
      it.signTargets({ signers: [targetsKey, { ...targetsKey, id: it.keys.targets[1]?.id ?? '' }] });
      it.versions.bins += 1;
      it.signBins();
      it.signEveryBin();
      it.keys = { ...it.keys, online: today.keys.online };
      it.publishSnapshot();
    }),
    row('one-bins-key', 'new bins that name another key, signed with one bins key of two', (it) => {
      takeOver(it);
      it.versions.bins += 1;
      it.signBins({ signers: [binsKey] });
      it.keys = { ...it.keys, online: today.keys.online };
      it.publish(release(PRIZE, [evilWheel]));
    }),
  ];
}

/** The client has believed a thief; the key holders then revoke what was stolen. */
function recoveries(scene: Scene): Attack[] {
  const { today, evilWheel } = scene;
  const fastForward = (it: ForgeableRepository): void => {
    it.versions.snapshot = it.versions.timestamp = FAR_AHEAD;
    it.versions.bin.fill(FAR_AHEAD);
    it.signEveryBin();
    it.publishSnapshot();
  };
  const stolen = altered(today, (it) => {
    it.publish(release(PRIZE, [evilWheel]));
  });
  /** Root 3 with other keys for what was stolen, and today's content under them. */
  const revoked = (keys: Partial<RepositoryKeys>): ForgeableRepository =>
    altered(today, (it) => {
      it.keys = { ...it.keys, ...keys };
      it.versions.root += 1;
      it.versions.targets += 1;
      it.versions.bins += 1;
      it.signRoot();
      it.signTargets();
      it.signBins();
      it.versions.bin.forEach((version, index) => {
        it.versions.bin[index] = version + 1;
      });
      it.signEveryBin();
      it.publishSnapshot();
    });
  const row = (
    kind: AttackKind,
    name: string,
    does: string,
    compromised: ForgeableRepository,
    recovered: ForgeableRepository,
  ): Attack => ({
    name,
    kind,
    does,
    holds: name === 'recover-offline-keys' ? 'all keys but root' : 'the online key',
    before: siteOf(compromised),
    site: siteOf(recovered),
    goal: 'served',
  });
  const newKeys = makeKeys();
  const withOnlineKey = revoked({ online: newKeys.online });
  return [
    row(
      'fast-forward',
      'fast-forward',
      'timestamp, snapshot and all bins at version 2,000,000,000; then the key is revoked',
      altered(today, fastForward),
      withOnlineKey,
    ),
    row(
      'recovery after a compromise at the threshold',
      'recover-online-key',
      'another wheel signed into the bins, which clients install; then the key is revoked',
      stolen,
      withOnlineKey,
    ),
    row(
      'recovery after a compromise at the threshold',
      'recover-offline-keys',
      'targets, bins and all below signed at version 2,000,000,000; then all keys are revoked',
      altered(stolen, (it) => {
        it.versions.targets = it.versions.bins = FAR_AHEAD;
        it.signTargets();
        it.signBins();
        fastForward(it);
      }),
      revoked({ online: newKeys.online, targets: newKeys.targets, bins: newKeys.bins }),
    ),
  ];
}

function versionIn(name: string): number {
  return Number(/(\d+)\.[^/]*$/.exec(name)?.[1]);
}
