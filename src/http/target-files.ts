// GET /targets/*: target files under the names that TUF clients ask for, `dir/HASH.file` and `HASH.dir/file`, and only
// those that a retained snapshot lists with that hash. The plain name is not answered: its content changes, and no client that
// follows consistent snapshots asks for it (TUF 5.7.3; interop rule 10). Where this service renders simple index pages,
// installers follow their links to plain names, and are sent on to the hash.
import type { FileHandle } from 'node:fs/promises';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import { asBuffer, sha256Hex } from '../lib/bytes.ts';
import { IMMUTABLE_CACHING, TIMESTAMP_CACHING } from '../lib/caching.ts';
import { CountersignError, hasCode } from '../lib/errors.ts';
import { askedTargets, hashedTargetPath, targetObjectName, type HashedTarget } from '../tuf/layout.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import { targetPathProblem } from '../tuf/target-path.ts';
import { content, problems } from './openapi.ts';
import { isCurrent } from '../lib/preconditions.ts';
import { ProblemError } from './problem.ts';
import { parsePagePath } from '../simple/page-path.ts';
import { HTML_PAGE_TYPE } from '../simple/page-html.ts';
import { JSON_PAGE_TYPE } from '../simple/page-json.ts';
import { satisfiableRange } from './range.ts';
import type { ServerDeps } from './server-deps.ts';
import { redirectAddress, TargetDirectory } from './target-source.ts';

/** A redirect says where the file is now; it may be remembered for a minute. */
const REDIRECT_CACHING = 'public, max-age=60';

/** As PEP 691 names them. */
const PAGE_TYPES = { json: JSON_PAGE_TYPE, html: `${HTML_PAGE_TYPE}; charset=utf-8` } as const;

interface Listed {
  readonly target: TargetFile;
  /** False for a target that only an older retained snapshot lists. */
  readonly current: boolean;
}

export function targetFilesRoute(app: FastifyInstance, deps: ServerDeps): void {
  const { catalogue, history, targets: source, clock, retentionMs, renderedPages, store } = deps;
  const directory = source.kind === 'file' ? new TargetDirectory(source.directory) : undefined;

  /** What a retained snapshot says about the path with this hash. */
  const findListed = async (path: string, sha256: string): Promise<Listed | undefined> => {
    const { target } = await catalogue.lookup(path);
    if (target?.hashes.sha256 === sha256) return { target, current: true };
    const oldestRetained = (await history.snapshotAt(clock.now() - retentionMs)) ?? 1;
    const former = await history.formerTargets(path, oldestRetained - 1);
    const match = former.find(({ hashes }) => hashes.sha256 === sha256);
    return match && { target: match, current: false };
  };

  const findAsked = async (
    candidates: readonly HashedTarget[],
  ): Promise<{ asked: HashedTarget; listed: Listed } | undefined> => {
    for (const asked of candidates) {
      if (targetPathProblem(asked.path) !== undefined) continue;
      const listed = await findListed(asked.path, asked.sha256);
      if (listed !== undefined) return { asked, listed };
    }
    return undefined;
  };

  /** Where the file at a plain path is now, relative to that path. */
  const hashedAddress = async (path: string): Promise<string | undefined> => {
    if (targetPathProblem(path) !== undefined) return undefined;
    const { target } = await catalogue.lookup(path);
    const name = target && hashedTargetPath(path, target.hashes.sha256);
    return name && `./${encodeURIComponent(name.slice(name.lastIndexOf('/') + 1))}`;
  };

  const openFile = async (path: string, { target, current }: Listed): Promise<FileHandle | undefined> => {
    try {
      return await directory?.open(path, target);
    } catch (error) {
      // The file was replaced as announced: the former one is gone. A current one that differs is a fault.
      if (!current && hasCode(error, 'length-or-hash-mismatch')) return undefined;
      throw error;
    }
  };

  app.withTypeProvider<TypeBoxTypeProvider>().route({
    method: ['GET', 'HEAD'],
    url: '/targets/*',
    config: { access: 'public' },
    schema: {
      operationId: 'readTargetFile',
      summary: 'A target file',
      description:
        'Under `dir/HASH.file` (tough: `HASH.dir/file`), where HASH is the sha256 that a retained snapshot gives; any other name is 404. Answers If-None-Match and one byte range, or redirects to where the files are.',
      tags: ['repository'],
      params: Type.Object({ '*': Type.String({ description: 'dir/HASH.file' }) }),
      response: {
        200: content('The file', 'application/octet-stream', Type.String()),
        206: content('The range', 'application/octet-stream', Type.String()),
        304: { description: 'The client has it', type: 'null' },
        307: { description: 'The file is at Location', type: 'null' },
        ...problems(404, 416, 502, 503),
      },
    },
    handler: async (request, reply) => {
      const name = request.params['*'];
      const absent = (): ProblemError =>
        new ProblemError('not-found', 'no retained snapshot lists this target file');
      if (source.kind === 'none' && !renderedPages) throw absent();
      const found = await findAsked(askedTargets(name));
      if (found === undefined) {
        const plain = renderedPages ? await hashedAddress(name) : undefined;
        if (plain === undefined) throw absent();
        return reply.header('cache-control', TIMESTAMP_CACHING).redirect(plain, 307);
      }
      const { asked, listed } = found;
      const page = renderedPages ? parsePagePath(asked.path) : undefined;
      if (page !== undefined) {
        const bytes = await readPage(store, asked, listed.target);
        const etag = `"${asked.sha256}"`;
        void reply.headers({ 'cache-control': IMMUTABLE_CACHING, etag });
        if (isCurrent(request.headers['if-none-match'], etag)) return reply.code(304).send(null);
        return reply.header('content-type', PAGE_TYPES[page.form]).send(bytes);
      }
      if (source.kind === 'none') throw absent();
      if (source.kind === 'redirect') {
        return reply
          .header('cache-control', REDIRECT_CACHING)
          .redirect(redirectAddress(source.base, asked.path), 307);
      }

      const { length } = listed.target;
      const etag = `"${asked.sha256}"`;
      const { headers, method } = request;
      const current = isCurrent(headers['if-none-match'], etag);
      const range = current ? undefined : satisfiableRange(method, headers, etag, length);
      const file = current ? undefined : await openFile(asked.path, listed);
      if (file === undefined && !current) throw absent();

      void reply
        .header('cache-control', IMMUTABLE_CACHING)
        .header('accept-ranges', 'bytes')
        .header('etag', etag);
      if (file === undefined) return reply.code(304).send(null);
      const { start, end } = range ?? { start: 0, end: length - 1 };
      void reply.type('application/octet-stream').header('content-length', end - start + 1);
      if (range !== undefined) {
        void reply.code(206).header('content-range', `bytes ${start}-${end}/${length}`);
      }
      if (method === 'HEAD') {
        await file.close();
        return reply.send(null);
      }
      // The stream closes the file, also when the client goes away.
      return reply.send(file.createReadStream({ start, end, autoClose: true }));
    },
  });
}

/** A page that this service rendered: in the store, as the other objects that it made. */
async function readPage(
  store: ServerDeps['store'],
  { path, sha256 }: HashedTarget,
  { length }: TargetFile,
): Promise<Buffer> {
  const name = targetObjectName(path, sha256);
  const object = await store.get(name, length);
  if (object === undefined) throw new CountersignError('store-unavailable', `${name} is not in the store`);
  if (sha256Hex(object.bytes) !== sha256) {
    throw new CountersignError('length-or-hash-mismatch', `${name} in the store has another content`);
  }
  return asBuffer(object.bytes);
}
