// A root that clients have today, from the live repository or from the record of the last ceremony: the only way to see,
// without a network, that previous.json is an old one that somebody hands over again.
import { equalBytes } from '../src/lib/bytes.ts';
import { CountersignError } from '../src/lib/errors.ts';
import { MAX_METADATA_BYTES } from '../src/tuf/metadata-limits.ts';
import { parseRoot } from '../src/tuf/parse-root.ts';
import type { Ceremony } from './ceremony.ts';
import { FILES, readRegularFile } from './ceremony-folder.ts';

/**
 * Checks that the chain of roots in previous.json ends with a published root. An older one shows nothing: whoever hands
 * an old bundle over can bring the root of that time with it.
 * @returns what was found, for people.
 * @throws CountersignError `ceremony-mismatch` when the published root is newer than, older than, or another than the
 *   last one in the bundle; `ceremony-file-missing`, `ceremony-file-invalid`.
 */
export async function checkPublishedRoot(file: string, { previous }: Ceremony): Promise<string> {
  const bytes = await readRegularFile(file, MAX_METADATA_BYTES.root);
  if (bytes === undefined) throw new CountersignError('ceremony-file-missing', `${file} is not there`);
  let root;
  try {
    root = parseRoot(bytes);
  } catch (cause) {
    if (!(cause instanceof CountersignError)) throw cause;
    throw new CountersignError('ceremony-file-invalid', `${file}: ${cause.message}`, { cause });
  }
  const { version } = root.signed;
  const known = previous?.bundle.roots ?? [];
  if (version > known.length) {
    const last =
      known.length === 0 ? 'this is a genesis' : `${FILES.previous} ends with root ${known.length}`;
    throw new CountersignError('ceremony-mismatch', `root ${version} is published, but ${last}`);
  }
  const same = known[version - 1];
  if (same !== undefined && equalBytes(same.signedBytes, root.signedBytes)) {
    if (version === known.length)
      return `root ${version} is the published one, and ${FILES.previous} ends with it`;
    throw new CountersignError(
      'ceremony-mismatch',
      `root ${version} was given as the published one, but ${FILES.previous} ends with root ${known.length}: bring the ` +
        'newest root.json; if that is it, import the bundle of the ceremony before first',
    );
  }
  throw new CountersignError(
    'ceremony-mismatch',
    `root ${version} in ${FILES.previous} is another one than the published root ${version}`,
  );
}
