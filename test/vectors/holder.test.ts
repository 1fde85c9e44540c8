// Which publishers a process takes for ended: those of its own machine alone.
import { expect, test } from 'vitest';
import { formatHolder, isGone } from '../../src/lib/holder.ts';
import { machineIdentity, machineName } from '../../src/lib/machine-name.ts';

/** No process has this number: the greatest one of Linux is 2^22. */
const NOBODY = 9_999_999;

test('a process of this machine that has ended is gone, a living one and one of elsewhere are not', () => {
  const host = machineName('debian', ['boot 1']);
  const own = { host, pid: process.pid, startedAt: 2 };
  expect(isGone(formatHolder({ host, pid: NOBODY, startedAt: 1 }), own)).toBe(true);
  // Our number was somebody else's before.
  expect(isGone(formatHolder({ ...own, startedAt: 1 }), own)).toBe(true);
  expect(isGone(formatHolder(own), own)).toBe(false);
  expect(isGone(formatHolder({ host, pid: process.ppid, startedAt: 1 }), own)).toBe(false);
  expect(isGone(formatHolder({ host: 'other', pid: NOBODY, startedAt: 1 }), own)).toBe(false);
});

test('machines of one name are told apart', () => {
  const [one, other] = [machineName('debian', ['boot 1', 'pid:[1]']), machineName('debian', ['boot 2', 'pid:[1]'])];
  expect(one).toMatch(/^debian\/[0-9a-f]{8}$/);
  expect(machineName('debian', ['boot 1', 'pid:[1]'])).toBe(one);
  const own = { host: one, pid: process.pid, startedAt: 2 };
  for (const pid of [NOBODY, process.pid]) {
    expect(isGone(formatHolder({ host: other, pid, startedAt: 1 }), own)).toBe(false);
  }
  expect(machineName('debian', [])).toBe('debian');
});

test.skipIf(process.platform !== 'linux')('Linux tells at least one thing about a machine', () => {
  expect(machineIdentity().length).toBeGreaterThan(0);
  expect(machineIdentity()).toEqual(machineIdentity());
});
