// Pages as JSON: PEP 691, with what PEP 592, 658, 700, 714 and 740 add.
import { CountersignError } from '../lib/errors.ts';
import { parseStrictJson, type JsonMap } from '../tuf/json.ts';
import { asList, asMap, asString, field, unexpected, type Place } from '../tuf/shape.ts';
import { parseFileName } from './project-name.ts';
import { MAX_PAGE_BYTES, MAX_PAGE_FILES, type PageFile, type ProjectPage } from './project-page.ts';

export const JSON_PAGE_TYPE = 'application/vnd.pypi.simple.v1+json';

/** PEP 691 "Versioning": minor versions add, major versions break. 1.1 has sizes and versions, 1.3 provenance. */
const API_VERSION = '1.3';

/**
 * A page, compact, the same bytes for the same page.
 * @param serial `_last-serial`: the snapshot that changed the page last.
 */
export function renderJsonPage({ name, versions, files }: ProjectPage, serial?: number): string {
  return JSON.stringify({
    meta: { 'api-version': API_VERSION, ...(serial === undefined ? {} : { '_last-serial': serial }) },
    name,
    versions,
    files: files.map(jsonFile),
  });
}

function jsonFile(file: PageFile): Record<string, unknown> {
  const { coreMetadata } = file;
  const metadata = coreMetadata && (Object.keys(coreMetadata).length === 0 ? true : coreMetadata);
  return {
    filename: file.fileName,
    url: file.url,
    hashes: file.hashes,
    ...(file.size === undefined ? {} : { size: file.size }),
    ...(file.uploadTime === undefined ? {} : { 'upload-time': file.uploadTime }),
    ...(file.requiresPython === undefined ? {} : { 'requires-python': file.requiresPython }),
    ...(file.yanked === undefined ? {} : { yanked: file.yanked }),
    // PEP 714: both spellings, for installers from before it.
    ...(metadata === undefined ? {} : { 'core-metadata': metadata, 'dist-info-metadata': metadata }),
    ...(file.provenance === undefined ? {} : { provenance: file.provenance }),
  };
}

/** Deep enough for everything above, and for what later versions may add. */
const PAGE_DEPTH = 16;

/**
 * Reads a page that somebody else wrote. Keys that nobody here knows are ignored, as PEP 691 asks; of a file whose
 * optional fields have another form, those are dropped.
 * @param odd what becomes of a file whose name could be no file name here: one of a thousand must not hide the others
 *   from installers, and none may get lost from a page that is written again.
 * @throws CountersignError `page-invalid` that names the page and the place; `metadata-too-large`.
 */
export function parseJsonPage(
  bytes: Uint8Array,
  where: string,
  odd: 'left out' | 'refused' = 'left out',
): ProjectPage {
  try {
    const value = parseStrictJson(bytes, { maxBytes: MAX_PAGE_BYTES, maxDepth: PAGE_DEPTH });
    const page = asMap({ value, where });
    const meta = asMap(field(page, where, 'meta'));
    // PEP 691: "clients MUST … hard fail" on another major version.
    asString(field(meta, `${where}.meta`, 'api-version'), /^1\.\d{1,4}$/);
    const name = asString(field(page, where, 'name'));
    const list = asList(field(page, where, 'files'));
    if (list.length > MAX_PAGE_FILES) {
      throw new CountersignError(
        'page-invalid',
        `${where} has ${list.length} files, at most ${MAX_PAGE_FILES}`,
      );
    }
    const files = list.flatMap((value, index) => {
      const place = { value, where: `${where}.files[${index}]` };
      return odd === 'left out' && hasOddName(place) ? [] : [readFile(place)];
    });
    return { name, versions: readVersions(page, files), files };
  } catch (error) {
    if (!(error instanceof CountersignError) || error.code !== 'metadata-invalid') throw error;
    throw new CountersignError('page-invalid', error.message, { cause: error });
  }
}

function hasOddName(place: Place): boolean {
  return !FILE_NAME.test(asString(field(asMap(place), place.where, 'filename')));
}

function readFile(place: Place): PageFile {
  const { where } = place;
  const map = asMap(place);
  const fileName = asString(field(map, where, 'filename'), FILE_NAME);
  const url = asString(field(map, where, 'url'));
  if (url.length > 4096) throw unexpected(field(map, where, 'url'), 'at most 4096 characters');
  const size = map.get('size');
  const uploadTime = map.get('upload-time');
  const requires = map.get('requires-python');
  const yanked = map.get('yanked');
  const metadata = map.get('core-metadata') ?? map.get('dist-info-metadata');
  const provenance = map.get('provenance');
  return {
    fileName,
    url: url.split('#', 1)[0] ?? url,
    hashes: readHashes(map.get('hashes')),
    ...(typeof size === 'number' && size >= 0 && Number.isSafeInteger(size) ? { size } : {}),
    ...(typeof uploadTime === 'string' && UPLOAD_TIME.test(uploadTime) ? { uploadTime } : {}),
    ...(typeof requires === 'string' && requires !== '' ? { requiresPython: requires } : {}),
    ...(yanked === true || (typeof yanked === 'string' && yanked !== '') ? { yanked } : {}),
    ...(metadata === true || metadata instanceof Map ? { coreMetadata: readHashes(metadata) } : {}),
    ...(typeof provenance === 'string' ? { provenance } : {}),
  };
}

/** One component of a path, as file systems and URLs take it. */
export const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._+!~@-]{0,254}$/;

export const UPLOAD_TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z$/;

function readHashes(value: unknown): Record<string, string> {
  const hashes: Record<string, string> = {};
  if (!(value instanceof Map)) return hashes;
  for (const [algorithm, digest] of value as ReadonlyMap<string, unknown>) {
    if (!/^[a-z][a-z0-9_-]{0,31}$/.test(algorithm) || typeof digest !== 'string') continue;
    if (/^[0-9a-fA-F]{2,256}$/.test(digest)) hashes[algorithm] = digest.toLowerCase();
  }
  return hashes;
}

/** What an index from before PEP 700 does not say follows from the names of its files. */
function readVersions(page: JsonMap, files: readonly PageFile[]): string[] {
  const listed = page.get('versions');
  if (Array.isArray(listed)) return listed.filter((version) => typeof version === 'string');
  return versionsOf(files);
}

/** The versions that the names of files speak of, each once, in their order. */
export function versionsOf(files: readonly Pick<PageFile, 'fileName'>[]): string[] {
  return [...new Set(files.flatMap(({ fileName }) => parseFileName(fileName)?.version ?? []))];
}
