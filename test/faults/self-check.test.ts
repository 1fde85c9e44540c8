// The self-check on computers that are not as they must be: each check is attacked alone.
import { describe, expect, test } from 'vitest';
import { thisMachine } from '../../keys-ceremony/self-check-machine.ts';
import {
  parseAccepted,
  refusedFindings,
  requireSelfCheck,
  selfCheck,
} from '../../keys-ceremony/self-check.ts';
import { CHECKS, type CheckName, type Outcome } from '../../keys-ceremony/self-check-rules.ts';
import { systemClock } from '../../src/lib/clock.ts';
import {
  CEREMONY_DAY,
  CLEAN_FILES,
  cleanMachine,
  TOOL_SHA256,
  type MachineChanges,
} from '../support/ceremony-machine.ts';

const SUBJECT = {
  workFolder: '/dev/shm/2027-renewal',
  notBefore: { time: CEREMONY_DAY - 86_400_000, what: 'the date of the plan' },
};
const YEAR = 365 * 86_400_000;

function at(now: number): MachineChanges {
  return { clock: { now: () => now, sleep: () => Promise.resolve() } };
}

const SWAP_HEADER = CLEAN_FILES['/proc/swaps'] ?? '';
const LIMITS = CLEAN_FILES['/proc/self/limits'] ?? '';

const ATTACKS: readonly (readonly [CheckName, string, MachineChanges, Outcome, RegExp])[] = [
  [
    'network',
    'an interface that is up',
    { files: { '/sys/class/net/eth0/flags': '0x1003\n' } },
    'failed',
    /eth0 is up/,
  ],
  [
    'network',
    'one called like loopback',
    { files: { '/sys/class/net/lo/flags': '0x1003\n' } },
    'failed',
    /lo is up/,
  ],
  ['network', 'an address alone', { addressedInterfaces: () => ['wlan0'] }, 'failed', /wlan0 is up/],
  [
    'network',
    'no /sys',
    { list: () => Promise.resolve(undefined) } as MachineChanges,
    'unknown',
    /cannot be seen/,
  ],
  [
    'swap',
    'a partition',
    { files: { '/proc/swaps': `${SWAP_HEADER}/dev/sda2 partition 1 0 -2\n` } },
    'failed',
    /sda2/,
  ],
  [
    'swap',
    'zram with a disk behind it',
    {
      files: {
        '/proc/swaps': `${SWAP_HEADER}/dev/zram0 partition 1 0 -2\n`,
        '/sys/block/zram0/backing_dev': '/dev/sda3\n',
      },
    },
    'failed',
    /zram0/,
  ],
  [
    'swap',
    'zram of which nothing is known',
    { files: { '/proc/swaps': `${SWAP_HEADER}/dev/zram0 partition 1 0 -2\n` } },
    'failed',
    /zram0/,
  ],
  ['swap', 'no /proc', { files: { '/proc/swaps': undefined } }, 'unknown', /cannot see/],
  [
    'memory',
    'a folder on a disk',
    { realpath: () => Promise.resolve('/var/tmp/x') },
    'failed',
    /overlay, not in memory/,
  ],
  [
    'memory',
    'a stick mounted inside',
    {
      files: {
        '/proc/self/mounts': `${CLEAN_FILES['/proc/self/mounts'] ?? ''}/dev/sdb1 /dev/shm/2027-renewal vfat rw 0 0\n`,
      },
    },
    'failed',
    /vfat/,
  ],
  [
    'memory',
    'a name that only begins like it',
    { realpath: () => Promise.resolve('/dev/shmx/y') },
    'failed',
    /overlay/,
  ],
  [
    'memory',
    'a folder that is not there',
    { realpath: () => Promise.reject(new Error('ENOENT')) },
    'unknown',
    /ENOENT/,
  ],
  ['memory', 'no /proc', { files: { '/proc/self/mounts': undefined } }, 'unknown', /cannot see/],
  ['clock', 'the epoch', at(0), 'failed', /1970.*before this version/],
  [
    'clock',
    'before the date of the plan',
    at(CEREMONY_DAY - 2 * 86_400_000),
    'failed',
    /the date of the plan is 2027-01-14/,
  ],
  ['clock', 'two thousand and sixty', at(CEREMONY_DAY + 33 * YEAR), 'failed', /thirty years/],
  [
    'random',
    'the same twice',
    { random: (bytes) => Buffer.alloc(bytes, 'abcdefghijkl') },
    'failed',
    /repeats itself/,
  ],
  ['random', 'zeros', { random: (bytes) => Buffer.alloc(bytes) }, 'failed', /repeats itself/],
  ['random', 'too few bytes', { random: () => Buffer.alloc(0) }, 'failed', /repeats itself/],
  [
    'random',
    'none',
    {
      random: () => {
        throw new Error('no entropy');
      },
    },
    'unknown',
    /no entropy/,
  ],
  [
    'tool',
    'many files',
    { tool: () => Promise.resolve({ path: '/x/main.js', sha256: TOOL_SHA256, complete: false }) },
    'failed',
    /build:ceremony/,
  ],
  [
    'core-dumps',
    'a limit',
    { files: { '/proc/self/limits': LIMITS.replace('0    ', '1024 ') } },
    'failed',
    /ulimit -c 0/,
  ],
  [
    'core-dumps',
    'no limit',
    { files: { '/proc/self/limits': LIMITS.replace('0        ', 'unlimited') } },
    'failed',
    /unlimited/,
  ],
  [
    'core-dumps',
    'a program that takes them all',
    { files: { '/proc/sys/kernel/core_pattern': '|/usr/share/apport/apport -p%p\n' } },
    'failed',
    /apport:? .*sysctl/,
  ],
  ['core-dumps', 'no /proc', { files: { '/proc/self/limits': undefined } }, 'unknown', /cannot see/],
  ['space', 'a full disk', { freeBytes: () => Promise.resolve(0) }, 'failed', /0 MiB left/],
  [
    'space',
    'a disk that does not tell',
    { freeBytes: () => Promise.reject(new Error('EIO')) },
    'unknown',
    /EIO/,
  ],
];

describe('self-check', () => {
  test('passes a clean computer', async () => {
    const { findings, steps } = await selfCheck(cleanMachine(), SUBJECT);
    expect(findings.filter(({ outcome }) => outcome !== 'passed')).toEqual([]);
    expect(findings.find(({ check }) => check === 'tool')?.text).toContain(TOOL_SHA256);
    expect(steps).toEqual([
      { step: 'self-check', passed: Object.keys(CHECKS), failed: [], tool: TOOL_SHA256 },
    ]);
  });

  test('zram is memory, and a first ceremony has none before it', async () => {
    const machine = cleanMachine({
      files: {
        '/proc/swaps': `${SWAP_HEADER}/dev/zram0 partition 1 0 -2\n`,
        '/sys/block/zram0/backing_dev': 'none\n',
      },
    });
    expect(refusedFindings(await selfCheck(machine, { workFolder: '/dev/shm/x' }))).toEqual([]);
  });

  test.each(ATTACKS)('%s: %s', async (check, _, changes, outcome, text) => {
    const machine = {
      ...cleanMachine(changes),
      ...('list' in changes ? { list: changes.list as never } : {}),
    };
    const result = await selfCheck(machine, SUBJECT);
    // One fault is reported once: what else is refused would hide it.
    expect(refusedFindings(result).map((finding) => finding.check)).toEqual([check]);
    expect(refusedFindings(result)[0]).toMatchObject({
      outcome,
      text: expect.stringMatching(text) as unknown,
    });
    await expect(requireSelfCheck(machine, SUBJECT, new Map(), () => undefined)).rejects.toMatchObject({
      code: 'self-check-failed',
      message: expect.stringMatching(text) as unknown,
    });
    const accepted = await requireSelfCheck(machine, SUBJECT, new Map([[check, 'tested']]), () => undefined);
    expect(accepted.steps).toEqual([
      expect.objectContaining({ step: 'self-check', failed: [check] }),
      { step: 'accepted', check, reason: 'tested' },
    ]);
  });

  test('every check is attacked', () => {
    expect(new Set(ATTACKS.map(([check]) => check))).toEqual(new Set(Object.keys(CHECKS)));
  });

  test('an exception for a check that passes is no exception, and covers no other', async () => {
    const accepted = new Map<CheckName, string>([['swap', 'old machine']]);
    const { steps } = await selfCheck(cleanMachine(), SUBJECT, accepted);
    expect(steps).toHaveLength(1);
    const spoilt = cleanMachine({ freeBytes: () => Promise.resolve(0) });
    await expect(requireSelfCheck(spoilt, SUBJECT, accepted, () => undefined)).rejects.toMatchObject({
      code: 'self-check-failed',
    });
  });

  test('a computer that is not Linux says what it cannot check', async () => {
    const nothing = Object.fromEntries(Object.keys(CLEAN_FILES).map((name) => [name, undefined]));
    const result = await selfCheck(cleanMachine({ files: nothing }), SUBJECT);
    expect(refusedFindings(result).map(({ check, outcome }) => [check, outcome])).toEqual([
      ['network', 'unknown'],
      ['swap', 'unknown'],
      ['memory', 'unknown'],
      ['core-dumps', 'unknown'],
    ]);
  });

  test('this computer is looked at without a fault', async () => {
    const machine = thisMachine(systemClock, (bytes) => crypto.getRandomValues(new Uint8Array(bytes)));
    const { findings } = await selfCheck(machine, { workFolder: import.meta.dirname });
    expect(findings).toHaveLength(Object.keys(CHECKS).length);
    expect(findings.find(({ check }) => check === 'random')?.outcome).toBe('passed');
  });

  test.each([
    [['swap'], 'has no reason'],
    [['swap= '], 'has no reason'],
    [['swp=x'], 'did you mean swap'],
    [['swap=x', 'swap=y'], 'twice'],
    [['swap=a\x1b[2J'], 'not one line'],
    [[`swap=${'x'.repeat(501)}`], 'not one line'],
  ])('--accept %j is refused', (values, message) => {
    expect(() => parseAccepted(values)).toThrow(message);
  });

  test('--accept keeps the reason', () => {
    expect([...parseAccepted(['swap=a = b', 'tool= tried out '])]).toEqual([
      ['swap', 'a = b'],
      ['tool', 'tried out'],
    ]);
  });
});
