// The target paths of pages: pages are files of the repository like all others (PEP 458 "the snapshot process …
// SHOULD" include them; docs/adr/0019).

/** PEP 691 page of a project; `name` is normalized. */
export function jsonPagePath(name: string): string {
  return `simple/${name}/index.json`;
}

/** PEP 503 page of a project; `name` is normalized. */
export function htmlPagePath(name: string): string {
  return `simple/${name}/index.html`;
}
