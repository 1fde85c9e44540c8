// What a mirror serves in an attack: a repository's public files, and lies in the place of some.
import { sha256Hex } from '../../../src/lib/bytes.ts';
import { hashedTargetPath } from '../../../src/tuf/layout.ts';
import type { Answer, Site } from './attack.ts';
import type { ForgeableRepository } from './forgeable-repository.ts';

/** Undefined: the file is withheld. */
export type Lies = readonly (readonly [name: string, answer: Answer | undefined])[];

export function siteOf({ files }: Pick<ForgeableRepository, 'files'>, lies: Lies = []): Site {
  const site = new Map<string, Answer>(files);
  for (const [name, answer] of lies) {
    if (answer === undefined) site.delete(name);
    else site.set(name, answer);
  }
  return site;
}

/** The public name of a target file of this content. */
export function targetName(path: string, content: Uint8Array): string {
  return `targets/${hashedTargetPath(path, sha256Hex(content))}`;
}

/** A copy of a repository, changed. */
export function altered(
  repository: ForgeableRepository,
  change: (it: ForgeableRepository) => void,
): ForgeableRepository {
  const copy = repository.copy();
  change(copy);
  return copy;
}
