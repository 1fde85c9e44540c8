// The index that is attacked: yesterday's release of a project, today's, which mends it, and what a thief would rather
// have installed. Real wheels and simple index pages, so that a real pip can be the victim too.
import { utf8 } from '../../../src/lib/bytes.ts';
import { makeWheel, type Wheel } from '../../../src/demo/wheel.ts';
import { versionedName } from '../../../src/tuf/layout.ts';
import { ForgeableRepository, makeKeys } from './forgeable-repository.ts';
import { makeKey, type TestKey } from './test-keys.ts';

const DAY_MS = 86_400_000;

/** The project that somebody wants to install. */
export const PRIZE = 'prize';

export interface Scene {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Root 1, targets 1, bins 1: release 1.0. Signed yesterday, still valid for clients that have seen nothing newer. */
  readonly yesterday: ForgeableRepository;
  /** Root 2, targets 2, bins 2: release 1.1. */
  readonly today: ForgeableRepository;
  /** A key of the attacker's own. */
  readonly thief: TestKey;
  /** The wheel of today, and what would be in its place. */
  readonly wheel: Wheel;
  readonly evilWheel: Wheel;
  /** Another project, honest and old. */
  readonly helper: Wheel;
}

export function makeScene(now: number): Scene {
  const keys = makeKeys();
  const first = makeWheel(PRIZE, '1.0', 'print("prize 1.0, with a hole")\n');
  const wheel = makeWheel(PRIZE, '1.1', 'print("prize 1.1, mended")\n');
  const helper = makeWheel('helper', '0.1', 'print("helper 0.1")\n');
  const repository = ForgeableRepository.found(keys, now - DAY_MS / 2);
  repository.publish(new Map([...release('helper', [helper]), ...release(PRIZE, [first])]));
  const yesterday = repository.copy();
  repository.now = now;
  Object.assign(repository.versions, { root: 2, targets: 2, bins: 2 });
  repository.signRoot();
  repository.signTargets();
  repository.signBins();
  repository.publish(release(PRIZE, [first, wheel]));
  return {
    now,
    yesterday,
    today: repository,
    thief: makeKey(),
    wheel,
    // The same name: what a mirror puts in the place of a file.
    evilWheel: makeWheel(PRIZE, '1.1', 'print("not what was published")\n'),
    helper,
  };
}

/** The root that every client is shipped with. */
export function firstRoot({ yesterday }: Scene): Uint8Array {
  return yesterday.file(versionedName('root', 1));
}

/** The target path of a wheel. */
export function wheelPath(project: string, { fileName }: Pick<Wheel, 'fileName'>): string {
  return `packages/${project}/${fileName}`;
}

/** PEP 658: the metadata file beside a wheel. */
export function metadataPath(project: string, wheel: Pick<Wheel, 'fileName'>): string {
  return `${wheelPath(project, wheel)}.metadata`;
}

export function pagePath(project: string): string {
  return `simple/${project}/index.html`;
}

/** A project's page, wheels, and their metadata files, by target path. */
export function release(project: string, wheels: readonly Wheel[], requires = ''): Map<string, Uint8Array> {
  const files = wheels.flatMap((wheel): [string, Uint8Array][] => [
    [wheelPath(project, wheel), wheel.bytes],
    [metadataPath(project, wheel), wheelMetadata(wheel, requires)],
  ]);
  return new Map([[pagePath(project), projectPage(project, wheels)], ...files]);
}

/** PEP 503. */
export function projectPage(project: string, wheels: readonly Wheel[]): Uint8Array {
  const links = wheels.map((wheel) => {
    const href = `../../${wheelPath(project, wheel)}`;
    return `<a href="${href}" data-core-metadata="true">${wheel.fileName}</a><br>`;
  });
  return utf8(`<!DOCTYPE html>\n<html><body>\n${links.join('\n')}\n</body></html>\n`);
}

/** METADATA as the wheel has it; `requires` is what somebody adds to it. */
export function wheelMetadata({ fileName }: Pick<Wheel, 'fileName'>, requires = ''): Uint8Array {
  const [name = '', version = ''] = fileName.split('-');
  const text = `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`;
  return utf8(requires === '' ? text : `${text}Requires-Dist: ${requires}\n`);
}
