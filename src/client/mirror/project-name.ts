// Which project a file belongs to, from its name: what filters of a mirror and pages of an index go by.

/** PEP 503 "Normalized Names". */
export function normalizeProject(name: string): string {
  return name.replaceAll(/[-_.]+/g, '-').toLowerCase();
}

const ARCHIVE = /\.(?:tar\.gz|tar\.bz2|tar\.xz|tar\.Z|tgz|tar|zip)$/;
const BUILT = /\.(?:whl|egg|exe|msi|rpm|deb|dmg)$/;
/** What stands beside a file: signatures, core metadata (PEP 658), provenance. */
const BESIDE = /\.(?:asc|metadata|provenance)$/;

/**
 * The normalized project of a distribution file, undefined for any other name. The name of a source archive alone does
 * not say where the project ends: the last hyphen before a digit is taken, as installers do (PEP 625 has none other).
 */
export function projectOfFile(path: string): string | undefined {
  const file = path.slice(path.lastIndexOf('/') + 1).replace(BESIDE, '');
  if (BUILT.test(file)) {
    // PEP 427: the distribution name has no hyphen.
    const [name] = file.split('-', 1);
    return name === undefined || name === file || name === '' ? undefined : normalizeProject(name);
  }
  if (!ARCHIVE.test(file)) return undefined;
  const stem = file.replace(ARCHIVE, '');
  const match = /^(.+)-(?=v?\d)[^-]*$/.exec(stem) ?? /^(.+?)-(?=v?\d)/.exec(stem);
  return match?.[1] === undefined ? undefined : normalizeProject(match[1]);
}

/** The project of a page of the simple index (PEP 503), `simple/NAME/…`, undefined for any other path. */
export function projectOfPage(path: string): string | undefined {
  const name = /(?:^|\/)simple\/([^/]+)\/[^/]+$/.exec(path)?.[1];
  return name === undefined ? undefined : normalizeProject(name);
}
