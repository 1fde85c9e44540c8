// A role on its own, as a mirror takes it and as a copy is judged.
import { CountersignError } from '../../lib/errors.ts';
import { placeOf } from '../roles/role-file.ts';
import type { TargetsFile } from '../roles/targets-file.ts';
import { verifyTargets } from '../verified-roles.ts';
import type { ReachedRole } from './role-walk.ts';

/**
 * As a client does, and more: a bin does not say which one it is, so that another of the same version, signed by the same
 * key, verifies in its place, and what belongs here seems absent (docs/trust.md). It shows in its paths, unless it is empty.
 * @throws CountersignError what verifyTargets throws; `metadata-invalid` for another bin.
 */
export async function verifyRole(reached: ReachedRole, bytes: Uint8Array): Promise<TargetsFile> {
  const { role, trust, reference, hashed } = reached;
  const file = await verifyTargets(role, trust, reference, bytes);
  let stray: string | undefined;
  for (const { path } of hashed ? file.targets() : []) {
    if (reached.covers(path)) return file;
    stray ??= path;
  }
  if (stray === undefined) return file;
  throw new CountersignError(
    'metadata-invalid',
    `role ${placeOf(role)} lists ${placeOf(stray)} and nothing that is delegated to it: another bin in its place`,
  );
}
