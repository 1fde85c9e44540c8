// What a computer must be like before a key is touched on it. Each rule reads the machine and says what it found; none
// of them changes anything.
import { RELEASED } from '../src/lib/version.ts';
import { formatExpires } from '../src/tuf/lifetimes.ts';
import type { Machine } from './self-check-machine.ts';

/** `passed`; `failed`; `unknown`: this computer does not tell. The last two have to be mended or accepted. */
export type Outcome = 'passed' | 'failed' | 'unknown';

export interface CheckResult {
  readonly outcome: Outcome;
  /** What was seen, and the way out. */
  readonly text: string;
}

/** What the rules are about, besides the machine. */
export interface CheckSubject {
  /** Absolute: the folder of the ceremony, or the one that is worked in. */
  readonly workFolder: string;
  /** Milliseconds since the epoch: the clock cannot be before it, because `what` says so. */
  readonly notBefore?: { readonly time: number; readonly what: string };
}

type Rule = (machine: Machine, subject: CheckSubject) => CheckResult | Promise<CheckResult>;

/** In the order in which they are shown; the names stand in transcripts and scripts. */
export const CHECKS = {
  network: checkNetwork,
  swap: checkSwap,
  memory: checkMemory,
  clock: checkClock,
  random: checkRandom,
  tool: checkTool,
  'core-dumps': checkCoreDumps,
  space: checkSpace,
} as const satisfies Readonly<Record<string, Rule>>;

export type CheckName = keyof typeof CHECKS;

/** Of net_device flags (linux/if.h). */
const IFF_UP = 0x1;
const IFF_LOOPBACK = 0x8;

/** A ceremony writes a few MB; a full disk in the middle of one is a nuisance. */
const MIN_FREE_BYTES = 64 * 1024 * 1024;

/** Milliseconds: nobody runs a version that is older, so a later clock is wrong. */
const TOOL_LIFE_MS = 30 * 365.25 * 86_400_000;

const RANDOM_BYTES = 32;

async function checkNetwork(machine: Machine): Promise<CheckResult> {
  const up = new Set(machine.addressedInterfaces());
  const names = await machine.list('/sys/class/net');
  for (const name of names ?? []) {
    // A file among the interfaces (bonding_masters) has no flags.
    const flags = Number(await machine.read(`/sys/class/net/${name}/flags`));
    if ((flags & IFF_UP) !== 0 && (flags & IFF_LOOPBACK) === 0) up.add(name);
  }
  if (up.size > 0) {
    const list = [...up].sort();
    return failed(
      `network interface ${list.join(', ')} is up: pull the cable, then "ip link set ${list[0] ?? ''} down"`,
    );
  }
  if (names === undefined) {
    return unknown('no interface has an address; whether one is up without an address cannot be seen here');
  }
  return passed('no network interface is up but loopback');
}

async function checkSwap(machine: Machine): Promise<CheckResult> {
  const text = await machine.read('/proc/swaps');
  if (text === undefined) return unknown('cannot see whether memory is swapped out to a disk');
  const areas = lines(text)
    .slice(1)
    .map((line) => line.split(/\s+/)[0] ?? '');
  const onDisk: string[] = [];
  for (const area of areas) if (!(await isMemoryOnly(machine, area))) onDisk.push(area);
  return onDisk.length === 0
    ? passed('swap is off')
    : failed(`swap is on (${onDisk.join(', ')}), keys could reach a disk: run "swapoff -a"`);
}

/** zram is compressed memory, unless it has a disk behind it. */
async function isMemoryOnly(machine: Machine, area: string): Promise<boolean> {
  const device = /^\/dev\/(zram\d+)$/.exec(area)?.[1];
  if (device === undefined) return false;
  return (await machine.read(`/sys/block/${device}/backing_dev`))?.trim() === 'none';
}

async function checkMemory(machine: Machine, { workFolder }: CheckSubject): Promise<CheckResult> {
  const mounts = await machine.read('/proc/self/mounts');
  if (mounts === undefined) return unknown(`cannot see whether ${workFolder} is in memory`);
  const folder = await machine.realpath(workFolder);
  let best = { place: '', type: '' };
  for (const line of lines(mounts)) {
    const [, place = '', type = ''] = line.split(' ').map(unescapeMount);
    const inside = folder === place || folder.startsWith(place.endsWith('/') ? place : `${place}/`);
    // The last of several mounts on one place is the one that is seen.
    if (inside && place.length >= best.place.length) best = { place, type };
  }
  return best.type === 'tmpfs' || best.type === 'ramfs'
    ? passed(`${workFolder} is in memory (${best.type})`)
    : failed(
        `${workFolder} is on ${best.type === '' ? 'an unknown file system' : best.type}, not in memory: ` +
          'copy the folder below /dev/shm and work there',
      );
}

function checkClock({ clock }: Machine, { notBefore }: CheckSubject): CheckResult {
  const now = clock.now();
  const text = formatExpires(now);
  if (now < RELEASED) {
    return failed(`the clock says ${text}, before this version was released: set it with "date -u -s"`);
  }
  if (now > RELEASED + TOOL_LIFE_MS) {
    return failed(`the clock says ${text}, thirty years after this version was released: set it`);
  }
  if (notBefore !== undefined && now < notBefore.time) {
    return failed(
      `the clock says ${text}, but ${notBefore.what} is ${formatExpires(notBefore.time)}: set it`,
    );
  }
  return passed(`the clock says ${text}; compare it with a watch`);
}

function checkRandom({ random }: Machine): CheckResult {
  const draws = [random(RANDOM_BYTES), random(RANDOM_BYTES)].map((draw) => Buffer.from(draw).toString('hex'));
  const [first = '', second = ''] = draws;
  const dull = draws.some(
    (draw) => draw.length !== 2 * RANDOM_BYTES || new Set(Buffer.from(draw, 'hex')).size < 8,
  );
  return first === second || dull
    ? failed('the random source repeats itself: use another computer')
    : passed('the random source answers, and two draws differ');
}

async function checkTool(machine: Machine): Promise<CheckResult> {
  const { path, sha256, complete } = await machine.tool();
  return complete
    ? passed(`this program is ${path}, sha256 ${sha256}; compare it with the one on paper`)
    : failed(
        `this program is many files, of which ${path} is one (sha256 ${sha256}): ` +
          'for a ceremony use the single file of "npm run build:ceremony"',
      );
}

async function checkCoreDumps(machine: Machine): Promise<CheckResult> {
  const limits = await machine.read('/proc/self/limits');
  const pattern = await machine.read('/proc/sys/kernel/core_pattern');
  const soft = /^Max core file size +(\S+)/m.exec(limits ?? '')?.[1];
  if (soft === undefined || pattern === undefined) {
    return unknown('cannot see whether a crash would write the memory of this program to a file');
  }
  // core(5): the limit is not enforced for a core dump that goes into a program.
  if (pattern.startsWith('|')) {
    return failed(
      `a crash would hand the memory of this program to ${pattern.trim().slice(1).split(' ')[0] ?? ''}: ` +
        'run "sysctl kernel.core_pattern=core"',
    );
  }
  return soft === '0'
    ? passed('a crash writes no memory to a file')
    : failed(`a crash would write the memory of this program to a file (limit ${soft}): run "ulimit -c 0"`);
}

async function checkSpace(machine: Machine, { workFolder }: CheckSubject): Promise<CheckResult> {
  const free = await machine.freeBytes(workFolder);
  const found = `${workFolder} has ${Math.floor(free / 1024 / 1024)} MiB left`;
  return free >= MIN_FREE_BYTES
    ? passed(found)
    : failed(`${found}, expected at least ${MIN_FREE_BYTES / 1024 / 1024} MiB: make room first`);
}

function lines(text: string): string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

/** proc(5): blanks in mount points are written in octal. */
function unescapeMount(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

function passed(text: string): CheckResult {
  return { outcome: 'passed', text };
}

function failed(text: string): CheckResult {
  return { outcome: 'failed', text };
}

function unknown(text: string): CheckResult {
  return { outcome: 'unknown', text };
}
