// A new root goes on naming the keys that signed the targets which clients still hold, for one generation; and what the
// holders are told about it.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parseBundle, verifyBundle } from '../../src/tuf/bundle.ts';
import type { RoleKeys } from '../../src/tuf/metadata.ts';
import { verifyEnvelope } from '../../src/tuf/threshold.ts';
import { topLevelTrust } from '../../src/tuf/verify-roles.ts';
import { heldKey, holdCeremony, type PlanOptions } from '../support/ceremony-people.ts';
import { NOW } from '../support/genesis-repository.ts';
import { tempDir } from '../support/temp-dir.ts';

const SIGNERS = ['holder-1', 'holder-2'];

interface Followed {
  /** Who signs targets under the new root. */
  readonly role: RoleKeys;
  /** Whether the targets of before verifies under the new root. */
  readonly overlaps: boolean;
  readonly warnings: readonly string[];
  /** What the holders read: of the plan, and of the payload. */
  readonly said: string;
}

async function follow(first: PlanOptions, next: PlanOptions): Promise<Followed> {
  const dir = await tempDir();
  const genesis = await holdCeremony(join(dir, 'genesis'), 'genesis', SIGNERS, first);
  const before = await genesis.read('bundle.json');
  const office = await holdCeremony(
    ...[join(dir, 'next'), 'next', SIGNERS, { kind: 'update', day: 200, ...next } as const, before],
  );
  const { findings } = (await office.ask('plan', 'check')) as { findings: { rule: string }[] };
  const root = (await verifyBundle(parseBundle(await office.read('bundle.json')), NOW)).trusted.root.signed;
  const old = parseBundle(before).targets;
  return {
    role: root.roles.targets,
    overlaps: await verifyEnvelope('targets', topLevelTrust(root, 'targets'), old).then(
      () => true,
      () => false,
    ),
    warnings: findings.map(({ rule }) => rule).filter((rule) => rule.startsWith('targets-')),
    said: `${(await office.run(['plan', 'show'])).stdout}\n${(await office.run(['build'])).stdout}`,
  };
}

const oneTime = (keys: number, more = ''): string => `{ one-time-keys: ${keys}, expires-in: 365d${more} }`;
const HELD = '{ holders: [holder-1, holder-2], threshold: 2, expires-in: 365d }';

test('one-time keys of before stay for one generation, and it is said', async () => {
  const { role, overlaps, warnings, said } = await follow({}, {});
  expect(role).toMatchObject({ threshold: 2 });
  expect(role.keyids).toHaveLength(4);
  expect({ overlaps, warnings }).toEqual({ overlaps: true, warnings: [] });
  expect(said).toContain('The new root also names the 2 keys that signed targets 1, until the next new targets');
  const [, , third = '', fourth = ''] = role.keyids;
  expect(said).toContain(`~ kept    key ${third}, which signed targets 1`);
  expect(said).toContain(`~ kept    key ${fourth}, which signed targets 1`);
  expect(said).toContain('signed by 2 of 4 keys (was 2 of 2)');
});

test.each<[what: string, first: string, next: string, keys: number, threshold: number, warnings: string[]]>([
  ['fewer keys than before', oneTime(3), oneTime(2), 5, 2, []],
  ['more keys than before', oneTime(1), oneTime(2), 3, 1, ['targets-overlap-threshold']],
  ['holders in their place', oneTime(2), HELD, 4, 2, []],
])('%s', async (_, first, next, keys, threshold, warnings) => {
  const followed = await follow({ targets: first }, { targets: next });
  expect(followed.role.keyids).toHaveLength(keys);
  expect(followed).toMatchObject({ role: { threshold }, overlaps: true, warnings });
});

test('a plan can leave the keys of before out at once', async () => {
  const followed = await follow({}, { targets: oneTime(2, ', overlap: false') });
  expect(followed).toMatchObject({ role: { threshold: 2 }, overlaps: false, warnings: ['targets-overlap'] });
  expect(followed.role.keyids).toHaveLength(2);
  expect(followed.said).not.toContain('kept');
});

test('the key of a holder is never kept, and the same holders need no overlap', async () => {
  const changed = await follow({ targets: HELD }, {});
  expect(changed.role.keyids).not.toContain((await heldKey('holder-1')).keyid);
  expect(changed).toMatchObject({ overlaps: false, warnings: ['targets-overlap'] });
  const same = await follow({ targets: HELD }, { targets: HELD });
  expect(same.role.keyids).toHaveLength(2);
  expect(same).toMatchObject({ overlaps: true, warnings: [] });
});
