// Project names as a simple index spells them (PEP 503, PEP 508).

/** PEP 508 "Names": letters, digits, and . _ - inside. */
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$/;

/** PEP 503 "Normalized Names"; undefined when the text is no project name, or has over 128 characters. */
export function normalizeProjectName(name: string): string | undefined {
  return NAME.test(name) ? name.replaceAll(/[-_.]+/g, '-').toLowerCase() : undefined;
}

export interface FileIdentity {
  /** Normalized. */
  readonly project: string;
  /** As the file name spells it. */
  readonly version: string;
}

const SDIST = /^(.+)-([^-]+)\.(?:tar\.gz|tar\.bz2|tar\.xz|zip|tgz)$/;

/** The project and version that a wheel's or a source archive's name speaks of; undefined for any other name. */
export function parseFileName(fileName: string): FileIdentity | undefined {
  // PEP 427: `-` never stands inside the name or version of a wheel. Old source archives have it in their names.
  const wheel = /^([^-]+)-([^-]+)(?:-\d[^-]*)?-[^-]+-[^-]+-[^-]+\.whl$/.exec(fileName);
  const [, name = '', version = ''] = wheel ?? SDIST.exec(fileName) ?? [];
  const project = normalizeProjectName(name);
  // PEP 440 has these characters; `_` is how some tools write the `-` of a local version.
  if (project === undefined || !/^[A-Za-z0-9.!+_]{1,128}$/.test(version)) return undefined;
  return { project, version };
}
