// Pages as HTML: PEP 503, with the attributes of PEP 592, 658, 714 and 740. The same page as page-json.ts writes.
import { CountersignError } from '../lib/errors.ts';
import { anchorsOf, hashOf, percentDecoded } from './html-anchors.ts';
import { FILE_NAME, versionsOf } from './page-json.ts';
import { MAX_PAGE_FILES, type PageFile, type ProjectPage } from './project-page.ts';

export const HTML_PAGE_TYPE = 'application/vnd.pypi.simple.v1+html';

/** The minor version that these attributes belong to (PEP 629). */
const REPOSITORY_VERSION = '1.3';

/**
 * A page, the same bytes for the same page. Everything in it may have been chosen by a stranger.
 * @param serial the snapshot that changed the page last.
 */
export function renderHtmlPage({ name, files }: ProjectPage, serial?: number): string {
  const title = `Links for ${name}`;
  const lines = files.map(anchor);
  if (serial !== undefined) lines.push(`<!--SERIAL ${serial}-->`);
  return `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="pypi:repository-version" content="${REPOSITORY_VERSION}">
<title>${escapeHtml(title)}</title>
</head>
<body>
<h1>${escapeHtml(title)}</h1>
${lines.map((line) => `${line}\n`).join('')}</body>
</html>
`;
}

function anchor(file: PageFile): string {
  const { coreMetadata } = file;
  const metadata = coreMetadata && (hashText(coreMetadata) ?? 'true');
  // PEP 503: the fragment names the hash.
  const fragment = hashText(file.hashes);
  const attributes: readonly (readonly [name: string, value: string | undefined])[] = [
    ['href', fragment === undefined ? file.url : `${file.url}#${fragment}`],
    ['data-requires-python', file.requiresPython],
    ['data-yanked', file.yanked === true ? '' : file.yanked],
    // PEP 714: both spellings, for installers from before it.
    ['data-dist-info-metadata', metadata],
    ['data-core-metadata', metadata],
    ['data-provenance', file.provenance],
  ];
  const written = attributes.flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}="${escapeHtml(value)}"`],
  );
  return `<a ${written.join(' ')}>${escapeHtml(file.fileName)}</a><br>`;
}

function hashText(hashes: Readonly<Record<string, string>>): string | undefined {
  const algorithm = ['sha256', 'sha512', 'sha384', ...Object.keys(hashes)].find((it) => hashes[it]);
  return algorithm === undefined ? undefined : `${algorithm}=${hashes[algorithm] ?? ''}`;
}

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

/** For text and for attributes in double quotes. */
export function escapeHtml(text: string): string {
  return text.replaceAll(/[&<>"']/g, (character) => ESCAPES[character] ?? '');
}

/**
 * Reads the links of a page that somebody else wrote: an `a` element with an `href`, as PEP 503 has it. Whatever else
 * the page holds is not looked at; links whose name is no file name are left out.
 * @throws CountersignError `page-invalid` when there are more than MAX_PAGE_FILES.
 */
export function parseHtmlPage(text: string, name: string, where: string): ProjectPage {
  const files: PageFile[] = [];
  for (const attributes of anchorsOf(text)) {
    const href = attributes.get('href');
    if (href === undefined) continue;
    const file = readAnchor(href, attributes);
    if (file === undefined) continue;
    if (files.push(file) > MAX_PAGE_FILES) {
      throw new CountersignError('page-invalid', `${where} has more than ${MAX_PAGE_FILES} links`);
    }
  }
  return { name, versions: versionsOf(files), files };
}

function readAnchor(href: string, attributes: ReadonlyMap<string, string>): PageFile | undefined {
  const [url = '', fragment = ''] = href.split('#', 2);
  const last = (url.split('?', 1)[0] ?? '').split('/').at(-1) ?? '';
  const fileName = percentDecoded(last);
  if (fileName === undefined || !FILE_NAME.test(fileName)) return undefined;
  const requiresPython = attributes.get('data-requires-python');
  const yanked = attributes.get('data-yanked');
  const metadata = attributes.get('data-core-metadata') ?? attributes.get('data-dist-info-metadata');
  const provenance = attributes.get('data-provenance');
  return {
    fileName,
    url,
    hashes: hashOf(fragment),
    ...(requiresPython === undefined || requiresPython === '' ? {} : { requiresPython }),
    // PEP 592: "may have no value, or … an arbitrary string".
    ...(yanked === undefined ? {} : { yanked: yanked === '' ? true : yanked }),
    ...(metadata === undefined || metadata === 'false' ? {} : { coreMetadata: hashOf(metadata) }),
    ...(provenance === undefined ? {} : { provenance }),
  };
}
