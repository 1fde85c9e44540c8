// Pages that countersign renders itself, from what signed metadata says about files: pure. The page of a project is the
// list of its files too, because the catalogue keeps them in as many bins as they have paths (docs/adr/0023).
import { isDeepStrictEqual } from 'node:util';
import { CountersignError } from '../lib/errors.ts';
import type { JsonObject, TargetFile } from '../tuf/metadata.ts';
import { percentDecoded } from './html-anchors.ts';
import { renderHtmlPage } from './page-html.ts';
import { parseJsonPage, renderJsonPage, UPLOAD_TIME, versionsOf } from './page-json.ts';
import { htmlPagePath, jsonPagePath } from './page-path.ts';
import type { PageFile, ProjectPage } from './project-page.ts';

/** Raised when the same page would come out with other bytes: what was committed in another form is not finished in this one. */
export const PAGE_FORM = 1;

/** Characters of texts that an index may put beside a file. */
const MAX_SPECIFIER = 256;
const MAX_REASON = 512;
const MAX_ADDRESS = 1024;

/** From a page to a target path: pages lie two folders deep among the targets. */
const TO_TARGETS = '../../';

/**
 * A page after its files have changed; the same object when nothing is different, undefined when no file is left.
 * @param edits target paths and what they name now, undefined: nothing.
 * @param now milliseconds since the epoch: when files without a time of their own were uploaded.
 */
export function editPage(
  name: string,
  page: ProjectPage | undefined,
  edits: ReadonlyMap<string, TargetFile | undefined>,
  now: number,
): ProjectPage | undefined {
  const files = new Map(page?.files.map((file) => [file.url, file]));
  let changed = false;
  for (const [path, target] of edits) {
    const url = linkTo(path);
    const before = files.get(url);
    if (target === undefined) {
      changed = files.delete(url) || changed;
      continue;
    }
    const after = pageFile(path, target, before?.uploadTime ?? new Date(now).toISOString());
    if (isDeepStrictEqual(before, after)) continue;
    files.set(url, after);
    changed = true;
  }
  if (!changed) return page;
  if (files.size === 0) return undefined;
  const list = [...files.values()];
  return { name, versions: versionsOf(list), files: list };
}

/** What a page says about a target file. Of `custom`, keys in another form than their PEP asks for are left out. */
export function pageFile(path: string, target: TargetFile, uploaded: string): PageFile {
  const { length, hashes, custom = {} } = target;
  const requiresPython = text(custom, 'requires-python', MAX_SPECIFIER);
  const uploadTime = text(custom, 'upload-time', 40);
  const provenance = text(custom, 'provenance', MAX_ADDRESS);
  const coreMetadata = metadataHashes(custom['core-metadata']);
  const yanked = custom['yanked'] === true ? true : text(custom, 'yanked', MAX_REASON);
  return {
    fileName: path.slice(path.lastIndexOf('/') + 1),
    url: linkTo(path),
    hashes: { sha256: hashes.sha256 },
    size: length,
    uploadTime: uploadTime !== undefined && UPLOAD_TIME.test(uploadTime) ? uploadTime : uploaded,
    ...(requiresPython === undefined ? {} : { requiresPython }),
    ...(yanked === undefined ? {} : { yanked }),
    ...(coreMetadata === undefined ? {} : { coreMetadata }),
    // PEP 740: "an absolute URL".
    ...(provenance?.startsWith('https://') === true ? { provenance } : {}),
  };
}

function text(custom: JsonObject, key: string, maxLength: number): string | undefined {
  const value = custom[key];
  return typeof value === 'string' && value !== '' && value.length <= maxLength ? value : undefined;
}

/** PEP 658, 714: true, or the hash. */
function metadataHashes(value: unknown): Record<string, string> | undefined {
  if (value === true) return {};
  if (typeof value !== 'object' || value === null || !('sha256' in value)) return undefined;
  const { sha256 } = value;
  return typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256) ? { sha256 } : undefined;
}

function linkTo(path: string): string {
  return TO_TARGETS + path.split('/').map(encodeURIComponent).join('/');
}

/** The target path behind a link of such a page; undefined for any other link. */
export function linkedPath(url: string): string | undefined {
  return url.startsWith(TO_TARGETS) ? percentDecoded(url.slice(TO_TARGETS.length)) : undefined;
}

export interface RenderedPage {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/**
 * Both forms of a page. A serial stands in each: no two snapshots render the same bytes, so that what was replaced can
 * be removed without asking whether it came back.
 */
export function renderIndexPages(page: ProjectPage, serial: number): readonly RenderedPage[] {
  return [
    { path: htmlPagePath(page.name), bytes: Buffer.from(renderHtmlPage(page, serial)) },
    { path: jsonPagePath(page.name), bytes: Buffer.from(renderJsonPage(page, serial)) },
  ];
}

/**
 * A page that `renderIndexPages` made, or that an index sent in the same form.
 * @throws CountersignError `page-invalid`, `metadata-too-large`.
 */
export function readIndexPage(name: string, bytes: Uint8Array): ProjectPage {
  const where = jsonPagePath(name);
  const page = parseJsonPage(bytes, where, 'refused');
  const strange = page.files.find(({ url }) => linkedPath(url) === undefined);
  if (page.name === name && strange === undefined) return page;
  throw new CountersignError(
    'page-invalid',
    page.name === name
      ? `${where} links to ${JSON.stringify(strange?.url.slice(0, 200))}, expected ${TO_TARGETS} and a target path`
      : `${where} is the page of ${JSON.stringify(page.name.slice(0, 200))}`,
  );
}

/** Bytes that a file takes on a page, at most, apart from what `before` the page has already. */
export function pageEntryBytes(path: string, target: TargetFile): number {
  const file = pageFile(path, target, new Date(0).toISOString());
  return Buffer.byteLength(renderJsonPage({ name: '', versions: versionsOf([file]), files: [file] }));
}
