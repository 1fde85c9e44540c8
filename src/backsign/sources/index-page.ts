// What the pages of a simple index say: PEP 691's JSON and PEP 503's HTML.
import { CountersignError, messageOf } from '../../lib/errors.ts';
import { anchorsOf, hashOf, percentDecoded } from '../../simple/html-anchors.ts';
import type { PageAnswer } from './index-request.ts';

export interface ProjectList {
  /** As they stand in addresses, ascending. */
  readonly projects: readonly string[];
  /** `_last-serial`: the state of the index. */
  readonly serial?: number;
  /** `_last-serial` of single projects, where the index gives them: the state of their pages. */
  readonly serials: ReadonlyMap<string, number>;
}

/** A file as a page names it. */
export interface NamedFile {
  /** As it stands there, perhaps relative to the page. */
  readonly href: string;
  readonly length?: number;
  readonly sha256?: string;
}

/** @throws CountersignError `manifest-invalid` when it is no list of projects. */
export function projectsOf({ text, isJson, serial, url }: PageAnswer): ProjectList {
  const document = isJson ? parse(text, url) : undefined;
  const serials = isJson ? serialsOfProjects(document, url) : serialsUnknown(hrefs(text).map(lastSegment));
  const meta = isObject(document) && isObject(document['meta']) ? document['meta'] : {};
  const last = Number(meta['_last-serial'] ?? serial ?? Number.NaN);
  // A listing of a directory has a link to the one above.
  const projects = [...serials.keys()].filter((name) => !['', '.', '..'].includes(name)).sort();
  const known = [...serials].filter((entry): entry is [string, number] => entry[1] !== undefined);
  return { projects, serials: new Map(known), ...(Number.isSafeInteger(last) ? { serial: last } : {}) };
}

/** @throws CountersignError `manifest-invalid` when it is no page of a project. */
export function filesOf({ text, isJson, url }: PageAnswer): NamedFile[] {
  if (!isJson) return hrefs(text).map((href) => ({ href, ...hashInFragment(href) }));
  const document = parse(text, url);
  const files = isObject(document) ? document['files'] : undefined;
  if (!Array.isArray(files)) throw invalid(url, 'has no files');
  return files.map((file: unknown) => {
    if (!isObject(file) || typeof file['url'] !== 'string') throw invalid(url, 'has a file without a url');
    const { size, hashes } = file;
    const sha256 = isObject(hashes) ? hashes['sha256'] : undefined;
    return {
      href: file['url'],
      ...(typeof size === 'number' ? { length: size } : {}),
      ...(typeof sha256 === 'string' ? { sha256 } : {}),
    };
  });
}

function serialsOfProjects(document: unknown, url: string): Map<string, number | undefined> {
  const projects = isObject(document) ? document['projects'] : undefined;
  if (!Array.isArray(projects)) throw invalid(url, 'has no projects');
  return new Map(
    projects.map((project: unknown) => {
      if (!isObject(project) || typeof project['name'] !== 'string') {
        throw invalid(url, 'has a project without a name');
      }
      const serial = project['_last-serial'];
      return [normalized(project['name']), Number.isSafeInteger(serial) ? Number(serial) : undefined];
    }),
  );
}

function serialsUnknown(names: readonly string[]): Map<string, number | undefined> {
  return new Map(names.map((name) => [name, undefined]));
}

/** PEP 503 "Normalized Names". */
function normalized(name: string): string {
  return name.replaceAll(/[-_.]+/g, '-').toLowerCase();
}

function lastSegment(href: string): string {
  const [path = ''] = href.split(/[?#]/);
  return percentDecoded(path.split('/').filter(Boolean).at(-1) ?? '') ?? '';
}

/** PEP 503: "the hash … as the URL fragment", which may hold other things too. */
function hashInFragment(href: string): { sha256?: string } {
  const [, fragment = ''] = href.split('#', 2);
  const [sha256] = fragment.split('&').flatMap((part) => hashOf(part)['sha256'] ?? []);
  return sha256?.length === 64 ? { sha256 } : {};
}

function hrefs(html: string): string[] {
  const found = [...anchorsOf(html)].flatMap((attributes) => attributes.get('href')?.trim() ?? []);
  // A link to the page itself.
  return found.filter((href) => href !== '');
}

function parse(text: string, url: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw invalid(url, `is not JSON: ${messageOf(error)}`);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function invalid(url: string, problem: string): CountersignError {
  return new CountersignError('manifest-invalid', `${url} ${problem}`);
}
