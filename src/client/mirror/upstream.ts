// The repository that is mirrored, as requests: bounded, counted, and repeated when the other side breaks off.
import type { Clock } from '../../lib/clock.ts';
import { CountersignError, hasCode } from '../../lib/errors.ts';
import { bytesToRead } from '../../tuf/metadata-limits.ts';
import { fetchWhole, type Fetcher } from '../fetcher.ts';
import { quoteName } from '../quoted-name.ts';
import type { FileReference } from '../roles/file-reference.ts';
import type { Target } from '../roles/targets-file.ts';
import { targetUrl } from '../target-download.ts';

/** Attempts of one request, the first included. */
const ATTEMPTS = 5;
/** Milliseconds before the second attempt, at most; doubles with each further one. */
const FIRST_PAUSE_MS = 500;

export type RequestKind = 'metadata' | 'target';

export interface UpstreamPorts {
  readonly fetcher: Fetcher;
  readonly clock: Clock;
  /** 0 <= r < 1, for jitter. */
  readonly random: () => number;
  /** Where `timestamp.json` is, with or without a final slash. */
  readonly metadataUrl: string;
  /** Where target files are; absent: they are not mirrored. */
  readonly targetBaseUrl?: string;
  readonly observe?: {
    requested(kind: RequestKind): void;
    received(kind: RequestKind, bytes: number): void;
  };
}

export class Upstream {
  readonly metadataUrl: string;
  readonly #ports: UpstreamPorts;

  constructor(ports: UpstreamPorts) {
    this.#ports = ports;
    this.metadataUrl = ports.metadataUrl.endsWith('/') ? ports.metadataUrl : `${ports.metadataUrl}/`;
  }

  /** For the client workflow: whole files, with the repetitions of a mirror. */
  get fetcher(): Fetcher {
    return {
      get: async (url, maxBytes) => {
        const bytes = await this.#whole(url, maxBytes);
        return bytes && once(bytes);
      },
    };
  }

  /** A metadata file by its name, such as `2.root.json`; undefined when there is none. */
  metadata(name: string, maxBytes: number): Promise<Uint8Array | undefined> {
    return this.#whole(this.metadataUrl + name, maxBytes);
  }

  /** The file of a role that snapshot names, not verified yet. @throws CountersignError `metadata-missing`. */
  async role(role: string, { version, length }: FileReference): Promise<Uint8Array> {
    const name = `${version}.${quoteName(role)}.json`;
    const bytes = await this.metadata(name, bytesToRead('targets', length));
    if (bytes !== undefined) return bytes;
    throw new CountersignError('metadata-missing', `${this.metadataUrl}${name} does not exist`);
  }

  /**
   * Hands the body of a target file to `take`, not verified; again from its beginning when the other side breaks off.
   * @throws CountersignError `not-found`, `upstream-unavailable`, what `take` throws.
   */
  target(target: Target, take: (body: AsyncIterable<Uint8Array>) => Promise<void>): Promise<void> {
    const { targetBaseUrl: baseUrl, fetcher, observe } = this.#ports;
    if (baseUrl === undefined) throw new CountersignError('internal', 'no address of target files is known');
    const url = targetUrl(target, { baseUrl, consistentSnapshot: true });
    // Asked for when its first bytes are: a place that cannot take them leaves no answer behind that nobody reads.
    const body = async function* (): AsyncGenerator<Uint8Array> {
      observe?.requested('target');
      const answer = await asUpstream(fetcher.get(url, target.length));
      if (answer === undefined) throw new CountersignError('not-found', `${url} does not exist`);
      yield* counted(answer, (bytes) => {
        observe?.received('target', bytes);
      });
    };
    return this.#persistently(() => take(body()));
  }

  #whole(url: string, maxBytes: number): Promise<Uint8Array | undefined> {
    const { fetcher, observe } = this.#ports;
    return this.#persistently(async () => {
      observe?.requested('metadata');
      const bytes = await asUpstream(fetchWhole(fetcher, url, maxBytes));
      if (bytes !== undefined) observe?.received('metadata', bytes.length);
      return bytes;
    });
  }

  async #persistently<T>(work: () => Promise<T>): Promise<T> {
    const { clock, random } = this.#ports;
    for (let attempt = 1; ; attempt++) {
      try {
        return await work();
      } catch (error) {
        if (attempt === ATTEMPTS || !hasCode(error, 'upstream-unavailable')) throw error;
        // Full jitter: mirrors that failed together do not come back together.
        await clock.sleep(random() * FIRST_PAUSE_MS * 2 ** (attempt - 1));
      }
    }
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield await Promise.resolve(bytes);
}

async function* counted(
  body: AsyncIterable<Uint8Array>,
  count: (bytes: number) => void,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body) {
      count(chunk.length);
      yield chunk;
    }
  } catch (error) {
    throw upstreamError(error);
  }
}

/** What the fetcher could not get is upstream's fault; the mirror's own store has errors of its own. */
async function asUpstream<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw upstreamError(error);
  }
}

function upstreamError(error: unknown): unknown {
  if (!hasCode(error, 'store-unavailable')) return error;
  return new CountersignError('upstream-unavailable', error.message, { cause: error });
}
