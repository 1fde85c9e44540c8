// GET /metadata/*: the repository's metadata as TUF clients read it. Versioned names never change content, so they
// are cached for a year everywhere, here too; timestamp.json is read from the store each time, because whoever waited
// for a publication must see it.
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyInstance, FastifyReply } from 'fastify';
import { Type } from 'typebox';
import { asBuffer, sha256Hex } from '../lib/bytes.ts';
import { IMMUTABLE_CACHING, TIMESTAMP_CACHING } from '../lib/caching.ts';
import { METADATA_PREFIX, parseVersionedName, RETENTION_NAME, TIMESTAMP_NAME } from '../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import { ByteCache } from '../lib/byte-cache.ts';
import { chooseCoding, compress, MIN_COMPRESSED_BYTES, type Coding } from './content-coding.ts';
import { content, problems } from './openapi.ts';
import { isCurrent } from '../lib/preconditions.ts';
import { ProblemError } from './problem.ts';
import { satisfiableRange } from './range.ts';
import type { ServerDeps } from './server-deps.ts';
import { Slots } from '../lib/slots.ts';

/** Bytes of immutable files and their compressed forms kept in memory: some 250 bins, or 60 large snapshots. */
const CACHE_BYTES = 64 * 1024 * 1024;

/** The thread pool has four threads, and the store's files need them too; whoever comes later gets identity. */
const COMPRESSIONS_AT_ONCE = 2;

/** The two names whose content changes. */
function isReplaced(name: string): boolean {
  return name === TIMESTAMP_NAME || name === RETENTION_NAME;
}

interface CachedFile {
  readonly bytes: Buffer;
  /** Without the quotes. */
  readonly tag: string;
}

export function metadataFilesRoute(app: FastifyInstance, { store }: ServerDeps): void {
  const cache = new ByteCache<CachedFile>(CACHE_BYTES);
  const compressions = new Slots(COMPRESSIONS_AT_ONCE);

  const read = async (name: string, maxBytes: number): Promise<CachedFile | undefined> => {
    const object = await store.get(name, maxBytes);
    return object && { bytes: asBuffer(object.bytes), tag: sha256Hex(object.bytes).slice(0, 32) };
  };

  const find = async (name: string): Promise<CachedFile> => {
    let file: CachedFile | undefined;
    if (isReplaced(name)) file = await read(name, MAX_METADATA_BYTES.timestamp);
    else if (parseVersionedName(name) !== undefined) {
      file = await cache.get(name, () => read(name, MAX_METADATA_BYTES.targets));
    }
    // 404, never 403: go-tuf takes a 403 for the next root as a failure (interop rule 9).
    if (file === undefined) throw new ProblemError('not-found', `there is no ${name.slice(0, 200)}`);
    return file;
  };

  const encoded = async (
    name: string,
    file: CachedFile,
    coding: 'br' | 'gzip',
  ): Promise<CachedFile | undefined> =>
    cache.get(`${name} ${file.tag} ${coding}`, async () => {
      const release = compressions.take();
      if (release === undefined) return undefined;
      try {
        return { bytes: await compress(file.bytes, coding), tag: `${file.tag}-${coding}` };
      } finally {
        release();
      }
    });

  app.withTypeProvider<TypeBoxTypeProvider>().route({
    method: ['GET', 'HEAD'],
    url: '/metadata/*',
    config: { access: 'public' },
    schema: {
      operationId: 'readMetadata',
      summary: 'A metadata file',
      description:
        '`timestamp.json`, `retention.json`, or a versioned name such as `7.snapshot.json`. Answers If-None-Match, one byte range, and Accept-Encoding (br, gzip).',
      tags: ['repository'],
      params: Type.Object({ '*': Type.String({ description: 'File name' }) }),
      response: {
        200: content('The file', 'application/json', Type.Object({})),
        206: content('The range', 'application/json', Type.String()),
        304: { description: 'The client has it', type: 'null' },
        ...problems(404, 416, 503),
      },
    },
    handler: async (request, reply) => {
      const name = METADATA_PREFIX + request.params['*'];
      const file = await find(name);
      const { headers, method } = request;
      void reply
        .header('cache-control', isReplaced(name) ? TIMESTAMP_CACHING : IMMUTABLE_CACHING)
        .header('vary', 'accept-encoding')
        .header('accept-ranges', 'bytes')
        .header('content-type', 'application/json');

      let coding: Coding =
        headers.range === undefined && file.bytes.length >= MIN_COMPRESSED_BYTES
          ? chooseCoding(headers['accept-encoding'])
          : 'identity';
      let shown: CachedFile = file;
      if (coding !== 'identity' && !isCurrent(headers['if-none-match'], `"${file.tag}-${coding}"`)) {
        const compressed = await encoded(name, file, coding);
        if (compressed === undefined) coding = 'identity';
        else shown = compressed;
      }
      const etag = coding === 'identity' ? `"${file.tag}"` : `"${file.tag}-${coding}"`;
      void reply.header('etag', etag);
      if (isCurrent(headers['if-none-match'], etag)) return reply.code(304).send(null);
      if (coding !== 'identity') return reply.header('content-encoding', coding).send(shown.bytes);
      return sendRange(reply, satisfiableRange(method, headers, etag, file.bytes.length), file.bytes);
    },
  });
}

function sendRange(
  reply: FastifyReply,
  range: ReturnType<typeof satisfiableRange>,
  bytes: Buffer,
): FastifyReply {
  if (range === undefined) return reply.send(bytes);
  return reply
    .code(206)
    .header('content-range', `bytes ${range.start}-${range.end}/${bytes.length}`)
    .send(bytes.subarray(range.start, range.end + 1));
}
