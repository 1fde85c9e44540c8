// The target paths of pages: pages are files of the repository like all others (PEP 458 "the snapshot process …
// SHOULD" include them; docs/adr/0023).
import { parseFileName } from './project-name.ts';

/** PEP 691 page of a project; `name` is normalized. */
export function jsonPagePath(name: string): string {
  return `simple/${name}/index.json`;
}

/** PEP 503 page of a project; `name` is normalized. */
export function htmlPagePath(name: string): string {
  return `simple/${name}/index.html`;
}

const PAGE_PATH = /^simple\/([a-z0-9-]+)\/index\.(json|html)$/;

export interface PagePath {
  /** Normalized. */
  readonly project: string;
  readonly form: 'json' | 'html';
}

/** The page that a target path is; undefined for every other path. */
export function parsePagePath(path: string): PagePath | undefined {
  const [, project, form] = PAGE_PATH.exec(path) ?? [];
  return project === undefined ? undefined : { project, form: form === 'json' ? 'json' : 'html' };
}

/** The project whose page lists the file at a target path; undefined for files that no page lists. */
export function projectOfFile(path: string): string | undefined {
  if (path.startsWith('simple/')) return undefined;
  return parseFileName(path.slice(path.lastIndexOf('/') + 1))?.project;
}
