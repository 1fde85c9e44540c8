// countersign mirror and countersign proxy as victims: what somebody installs who trusts the copy, or the index, that they
// make. Both are the built programs; behind the proxy is a real pip.
import type { ChildProcess } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { devNull } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { asBuffer, sha256Hex } from '../../../src/lib/bytes.ts';
import { messageOf } from '../../../src/lib/errors.ts';
import { systemClock } from '../../../src/lib/clock.ts';
import { hashedTargetPath, TIMESTAMP_NAME, versionedName } from '../../../src/tuf/layout.ts';
import { inCheckout } from '../checkout.ts';
import { closed, run, start } from '../run.ts';
import type { ArmedVictim, Victim } from './campaign.ts';
import { binOf } from './forgeable-repository.ts';
import { install, type Installed } from './installer.ts';
import { PRIZE } from './scene.ts';
import { newPlace, type VictimPlace } from './victims.ts';

export const MIRROR = 'countersign mirror';
export const PROXY = 'pip behind countersign proxy';

const COUNTERSIGN = inCheckout('dist/src/main.js');

/** No settings of this computer: a folder with other wheels would be one more index. */
const PIP_ENV = { PIP_CONFIG_FILE: devNull, PIP_FIND_LINKS: '' };

/** Milliseconds until a proxy listens on a busy computer. */
const START_MS = 60_000;

/** Whoever trusts the copy reads it without a look at any signature. */
export function mirrorVictim(place: VictimPlace): Victim {
  return {
    name: MIRROR,
    arm: async (attack) => {
      const { own, rootFile } = await newPlace(place, 'mirror', attack);
      const copy = path.join(own, 'copy');
      const synchronise = (address: string): Promise<string> =>
        run(process.execPath, [
          ...[COUNTERSIGN, 'mirror', '--metadata-url', `${address}/metadata`, '--root', rootFile],
          ...['--to', copy, '--targets', '--target-base-url', `${address}/targets`],
        ]);
      return {
        look: async (address) => {
          await synchronise(address);
        },
        install: async (address) => {
          const before = await gullibleInstall(copy);
          const refusal = await synchronise(address).then(
            () => undefined,
            (error: unknown) => messageOf(error),
          );
          const after = await gullibleInstall(copy);
          // A synchronisation that ends with an error must have left the copy as it was, or better.
          if (after !== undefined && (refusal === undefined || !sameInstalled(before, after))) return after;
          throw new Error(refusal ?? 'the copy serves nothing');
        },
      };
    },
  };
}

async function gullibleInstall(copy: string): Promise<Installed | undefined> {
  const read = (name: string): Promise<Uint8Array> => readFile(path.join(copy, name));
  try {
    return await install(PRIZE, async (target) => {
      const timestamp = signedIn(await read(TIMESTAMP_NAME));
      const { version } = timestamp.meta['snapshot.json'];
      const snapshot = signedIn(await read(versionedName('snapshot', version)));
      const bin = binOf(target);
      const { targets } = signedIn(
        await read(versionedName(bin, snapshot.meta[`${bin}.json`]?.version ?? 0)),
      );
      return read(`targets/${hashedTargetPath(target, targets[target]?.hashes.sha256 ?? '')}`);
    });
  } catch {
    return undefined;
  }
}

interface AnyRole {
  readonly meta: Readonly<Record<string, { readonly version: number }>> & {
    readonly 'snapshot.json': { readonly version: number };
  };
  readonly targets: Readonly<Record<string, { readonly hashes: { readonly sha256: string } }>>;
}

function signedIn(bytes: Uint8Array): AnyRole {
  return (JSON.parse(asBuffer(bytes).toString()) as { readonly signed: AnyRole }).signed;
}

function sameInstalled(a: Installed | undefined, b: Installed): boolean {
  return a?.size === b.size && [...b].every(([name, hash]) => a.get(name) === hash);
}

/** `pip`: the program. */
export function proxyVictim(pip: string, place: VictimPlace): Victim {
  return {
    name: PROXY,
    arm: async (attack) => {
      const { own, rootFile } = await newPlace(place, 'proxy', attack);
      let downloads = 0;
      const pipInstall = async (address: string): Promise<Installed> => {
        const proxy = await startProxy(address, own, rootFile);
        try {
          const wheels = path.join(own, `wheels-${++downloads}`);
          const download = ['download', '--no-cache-dir', '--disable-pip-version-check', '--retries', '0'];
          download.push('--timeout', '120', '--index-url', `${proxy.address}/simple/`, '--dest', wheels);
          await run(pip, [...download, PRIZE], { env: PIP_ENV });
          return await filesIn(wheels);
        } finally {
          await proxy.stop();
        }
      };
      const victim: ArmedVictim = {
        look: async (address) => {
          await pipInstall(address);
        },
        install: pipInstall,
      };
      return victim;
    },
  };
}

async function startProxy(
  address: string,
  own: string,
  rootFile: string,
): Promise<{ readonly address: string; stop(): Promise<void> }> {
  const child = start(process.execPath, [
    ...[COUNTERSIGN, 'proxy', '--json', '--listen', '127.0.0.1:0', '--state', path.join(own, 'state')],
    ...[
      '--root',
      rootFile,
      '--metadata-url',
      `${address}/metadata`,
      '--target-base-url',
      `${address}/targets`,
    ],
  ]);
  const ended = closed(child);
  child.stderr?.resume();
  return {
    address: await addressOf(child, ended),
    stop: async () => {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

function addressOf(child: ChildProcess, ended: Promise<unknown>): Promise<string> {
  const { stdout } = child;
  if (stdout === null) throw new Error('no standard output');
  const said = new Promise<string>((resolve) => {
    createInterface({ input: stdout }).on('line', (line) => {
      const address = /"address": "([^"]+)"/.exec(line)?.[1];
      if (address !== undefined) resolve(address);
    });
  });
  const failed = Promise.race([ended, systemClock.sleep(START_MS)]).then(() => {
    child.kill('SIGKILL');
    throw new Error('the proxy said no address');
  });
  return Promise.race([said, failed]);
}

async function filesIn(folder: string): Promise<Installed> {
  const names = await readdir(folder);
  const hashes = await Promise.all(
    names.map(async (name) => sha256Hex(await readFile(path.join(folder, name)))),
  );
  return new Map(names.map((name, index) => [name, hashes[index] ?? '']));
}
