// Under which names a mirror keeps what: those that every static web server finds when a client asks (docs/storage-layout.md).
import type { Target } from '../roles/targets-file.ts';

export const TARGETS_PREFIX = 'targets/';

/** Bytes; directories of every system end a name there. */
const MAX_SEGMENT_BYTES = 255;

/**
 * `targets/dir/HASH.file` for each hash that the metadata give: clients differ in which one they ask for, and most
 * indexes give one.
 */
export function targetObjects({ path, hashes }: Target): string[] {
  const slash = path.lastIndexOf('/') + 1;
  return [...new Set(hashes.values())].map(
    (hash) => `${TARGETS_PREFIX}${path.slice(0, slash)}${hash}.${path.slice(slash)}`,
  );
}

/** Path and hash of such a name, undefined for any other. */
export function parseTargetObject(name: string): { path: string; hash: string } | undefined {
  if (!name.startsWith(TARGETS_PREFIX)) return undefined;
  const rest = name.slice(TARGETS_PREFIX.length);
  const slash = rest.lastIndexOf('/') + 1;
  const match = /^([0-9a-f]{2,256})\.(.+)$/s.exec(rest.slice(slash));
  if (match?.[1] === undefined || match[2] === undefined) return undefined;
  return { path: rest.slice(0, slash) + match[2], hash: match[1] };
}

/** `metadata/7.snapshot.json` of any role name, undefined for any other name. */
export function parseMetadataObject(name: string): { role: string; version: number } | undefined {
  const match = /^metadata\/([1-9]\d{0,14})\.(.+)\.json$/s.exec(name);
  if (match?.[2] === undefined) return undefined;
  return { version: Number(match[1]), role: match[2] };
}

/** Why no directory and no web server could have such an object, or undefined. */
export function objectNameProblem(name: string): string | undefined {
  const segments = name.split('/');
  if (segments.some((segment) => segment === '' || segment.startsWith('.'))) {
    return 'has a segment that is empty or starts with a period';
  }
  if (/[\\\0]/.test(name)) return 'has a backslash or a null character';
  if (segments.some((segment) => Buffer.byteLength(segment) > MAX_SEGMENT_BYTES)) {
    return `has a segment of more than ${MAX_SEGMENT_BYTES} bytes, its hash included`;
  }
  return undefined;
}
