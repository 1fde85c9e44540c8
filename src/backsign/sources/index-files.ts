// The files of one page of a simple index, with everything that a signature needs: what the page does not say is asked for.
import { createHash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import { percentDecoded } from '../../simple/html-anchors.ts';
import { filesOf, type NamedFile } from './index-page.ts';
import { askFile, bodyOf, type PageAnswer } from './index-request.ts';
import type { IndexedFile } from './kept-pages.ts';

export interface Asking {
  readonly clock: Clock;
  /** Download every file and compare length and hash. */
  readonly fetch: boolean;
}

/**
 * The files of a page. `known`: what an earlier reading came to; what was asked for then is not asked for again.
 * @throws CountersignError `manifest-invalid` when it is no page of a project, `service-unavailable`.
 */
export async function indexedFiles(
  answer: PageAnswer,
  known: readonly IndexedFile[],
  asking: Asking,
): Promise<IndexedFile[]> {
  const settled = new Map(known.filter(isSettled).map((file) => [file.path, file]));
  const files: IndexedFile[] = [];
  for (const file of filesOf(answer)) files.push(await indexedFile(file, answer.url, settled, asking));
  return files;
}

/** Nothing more is to be found out about it, if it still has this hash. */
export function isSettled({ fetched, problem, mayPass }: IndexedFile): boolean {
  return fetched === true || (problem !== undefined && mayPass !== true);
}

/** The target path is the path of the address; a length that the index does not say is asked for. */
async function indexedFile(
  { href, length, sha256 }: NamedFile,
  pageUrl: string,
  fetched: ReadonlyMap<string, IndexedFile>,
  { clock, fetch: download }: Asking,
): Promise<IndexedFile> {
  const url = URL.canParse(href, pageUrl) ? new URL(href, pageUrl) : undefined;
  const path = url && percentDecoded(url.pathname.slice(1));
  if (url === undefined || path === undefined || !/^https?:$/.test(url.protocol)) {
    return { path: href, problem: `${href.slice(0, 200)} on ${pageUrl} is no address of a file` };
  }
  url.hash = '';
  const claim: IndexedFile = { path, ...(sha256 === undefined ? {} : { sha256 }) };
  if (!download && length !== undefined) return { ...claim, length };
  const known = fetched.get(path);
  if (known?.sha256 !== undefined && known.sha256 === sha256 && known.length === (length ?? known.length))
    return known;
  const read = download ? hashOf : lengthOf;
  const found = await askFile<Measured>(url.href, download ? 'GET' : 'HEAD', clock, read);
  const refused = (problem: string): IndexedFile => ({ path, problem: `${url.href} ${problem}` });
  if (found === 'absent') return { ...claim, ...refused('is absent'), mayPass: true };
  if (typeof found === 'string') return { ...refused(found), mayPass: true };
  if (found.sha256 === undefined) return { ...claim, length: found.length };
  if (sha256 !== undefined && found.sha256 !== sha256) {
    return refused(`has sha256 ${found.sha256}, the index says ${sha256}`);
  }
  if (length !== undefined && found.length !== length) {
    return refused(`has ${found.length} bytes, the index says ${length}`);
  }
  return { path, length: found.length, sha256: found.sha256, fetched: true };
}

/** What was found, or why nothing can be said about the file. */
type Measured = { readonly length: number; readonly sha256?: string } | string;

function lengthOf(response: Response): Promise<Measured> {
  const length = response.headers.get('content-length');
  if (length !== null) return Promise.resolve({ length: Number(length) });
  return Promise.resolve('is of a length that neither the index nor an answer to HEAD says: use --fetch');
}

async function hashOf(response: Response): Promise<Measured> {
  // Decompressed by now: installers hash the bytes as they are sent.
  const coding = response.headers.get('content-encoding') ?? 'identity';
  if (coding.toLowerCase() !== 'identity') {
    await response.body?.cancel();
    return `comes with "Content-Encoding: ${coding}" although it was asked for as it is: have the server send none with files`;
  }
  const hash = createHash('sha256');
  let length = 0;
  for await (const piece of bodyOf(response)) {
    hash.update(piece);
    length += piece.length;
  }
  return { length, sha256: hash.digest('hex') };
}
