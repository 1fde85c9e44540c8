// bundle.json in the folder against what this ceremony makes. People carry the folder, and the bundle of another ceremony
// verifies by itself as well: on the record and for the service it would stand in the place of what was signed here.
import { equalBytes } from '../src/lib/bytes.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { parseBundle, type Bundle } from '../src/tuf/bundle.ts';
import { payloadOf, type Ceremony } from './ceremony.ts';
import { FILES, MAX_BYTES, readRequired } from './ceremony-folder.ts';

/**
 * Reads bundle.json: the roles of the payload that this computer makes, and of the bundle before it what stays as it is.
 * Signatures are not verified here.
 * @throws CountersignError `ceremony-file-missing` before `bundle` has run; `bundle-invalid`; `ceremony-mismatch` when it
 *   is of another ceremony.
 */
export async function readBundleFile(
  ceremony: Ceremony,
): Promise<{ readonly bytes: Buffer; readonly bundle: Bundle }> {
  const bytes = await readRequired(ceremony.folder, FILES.bundle, MAX_BYTES.bundle);
  const bundle = parseBundle(bytes);
  const found = signedParts(bundle);
  const wanted = partsAfter(ceremony);
  const names = new Set([...wanted.keys(), ...found.keys()]);
  for (const name of names) {
    if (isSame(wanted.get(name), found.get(name))) continue;
    throw new CountersignError(
      'ceremony-mismatch',
      `${name} in ${FILES.bundle} is not the one that this ceremony makes: it is the bundle of another ceremony; move it ` +
        'away, and make it anew with "bundle"',
    );
  }
  return { bytes, bundle };
}

/** What signatures cover, by `root 1`, `root 2`, `targets` and `bins`. */
function signedParts({ roots, targets, bins }: Bundle): Map<string, Uint8Array> {
  return new Map<string, Uint8Array>([
    ...roots.map((root, index) => [`root ${index + 1}`, root.signedBytes] as const),
    ['targets', targets.signedBytes],
    ['bins', bins.signedBytes],
  ]);
}

function partsAfter(ceremony: Ceremony): Map<string, Uint8Array> {
  const { previous } = ceremony;
  const parts = previous === undefined ? new Map<string, Uint8Array>() : signedParts(previous.bundle);
  const roots = previous?.bundle.roots.length ?? 0;
  for (const [role, bytes] of payloadOf(ceremony).signedBytes) {
    parts.set(role === 'root' ? `root ${roots + 1}` : role, bytes);
  }
  return parts;
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a !== undefined && b !== undefined && equalBytes(a, b);
}
