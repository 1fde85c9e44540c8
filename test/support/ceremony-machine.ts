// Computers for the self-check: one on which every check passes, and ways to spoil it.
import { createHash } from 'node:crypto';
import type { Machine } from '../../keys-ceremony/self-check-machine.ts';

export const CEREMONY_DAY = Date.UTC(2027, 0, 15, 10);

export const TOOL_SHA256 = 'ab'.repeat(32);

/** Files of a Linux computer without a network, without swap, with the work in memory. */
export const CLEAN_FILES: Readonly<Record<string, string>> = {
  '/sys/class/net/lo/flags': '0x9\n',
  '/sys/class/net/eth0/flags': '0x1002\n',
  '/proc/swaps': 'Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n',
  '/proc/self/mounts': 'overlay / overlay rw 0 0\nproc /proc proc rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n',
  '/proc/self/limits':
    'Limit                     Soft Limit           Hard Limit           Units     \n' +
    'Max core file size        0                    unlimited            bytes     \n',
  '/proc/sys/kernel/core_pattern': 'core\n',
};

export interface MachineChanges extends Partial<Omit<Machine, 'read' | 'list'>> {
  /** Contents by path; undefined for a file that is not there. */
  readonly files?: Readonly<Record<string, string | undefined>>;
}

/** A computer on which every check passes for a work folder below /dev/shm, but for `changes`. */
export function cleanMachine({ files, ...changes }: MachineChanges = {}): Machine {
  const all = new Map(
    Object.entries({ ...CLEAN_FILES, ...files }).flatMap(([name, text]) =>
      text === undefined ? [] : [[name, text] as const],
    ),
  );
  let draws = 0;
  return {
    clock: { now: () => CEREMONY_DAY, sleep: () => Promise.resolve() },
    random: (bytes) => createHash('sha512').update(`draw ${draws++}`).digest().subarray(0, bytes),
    read: (file) => Promise.resolve(all.get(file)),
    list: (folder) => {
      const inside = [...all.keys()].filter((name) => name.startsWith(`${folder}/`));
      const names = new Set(inside.map((name) => name.slice(folder.length + 1).split('/')[0] ?? ''));
      return Promise.resolve(names.size === 0 ? undefined : [...names]);
    },
    realpath: (path) => Promise.resolve(path),
    freeBytes: () => Promise.resolve(1024 ** 3),
    addressedInterfaces: () => [],
    tool: () => Promise.resolve({ path: '/media/tool.mjs', sha256: TOOL_SHA256, complete: true }),
    ...changes,
  };
}
