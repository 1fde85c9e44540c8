// Which bytes answer for a target path: those that signed metadata describes, and no others.
import { createHash } from 'node:crypto';
import { fetchWhole, type Fetcher } from '../client/fetcher.ts';
import { quotePath } from '../client/quoted-name.ts';
import type { Target } from '../client/roles/targets-file.ts';
import { targetUrl } from '../client/target-download.ts';
import { CountersignError } from '../lib/errors.ts';
import { parseFileName } from '../simple/project-name.ts';
import { NOT_YET_SIGNED, type ProjectPages } from './project-pages.ts';
import type { TrustedState } from './trusted-state.ts';
import type { OpenFile, VerifiedFiles } from './verified-files.ts';
import { metadataOfWheel } from './wheel-metadata.ts';

/** PEP 658: what stands behind the name of a wheel. */
const METADATA_SUFFIX = '.metadata';

/** Bytes of a METADATA file. Long descriptions make some of them large. */
const MAX_CORE_METADATA_BYTES = 4 * 1024 * 1024;

export interface TargetAnswersDeps {
  readonly state: TrustedState;
  readonly files: VerifiedFiles;
  readonly pages: ProjectPages;
  readonly fetcher: Fetcher;
  /** With a final slash. */
  readonly targetBaseUrl: string;
}

/** What can be said of a file without reading it, for a HEAD and for who has it already. */
export interface TargetAnswer {
  /** Bytes. */
  readonly length: number;
  /** Of the content, without quotes. */
  readonly tag: string;
  /** The file itself; the caller closes it. @throws CountersignError whatever keeps it from being verified. */
  open(): Promise<OpenFile>;
}

export class TargetAnswers {
  readonly #deps: TargetAnswersDeps;

  constructor(deps: TargetAnswersDeps) {
    this.#deps = deps;
  }

  /**
   * What signed metadata says about a target path.
   * @throws CountersignError `target-unsigned` when no snapshot knows it, and whatever keeps that from being verified.
   */
  async find(path: string): Promise<TargetAnswer> {
    const target = await this.#deps.state.find(path);
    if (target !== undefined) {
      const tag = target.hashes.get('sha256') ?? [...target.hashes.values()].join('-');
      return { length: target.length, tag, open: () => this.#open(target) };
    }
    const metadata = path.endsWith(METADATA_SUFFIX) ? await this.#coreMetadata(path) : undefined;
    if (metadata !== undefined) return metadata;
    const name = path.split('/').at(-1) ?? path;
    throw new CountersignError('target-unsigned', `${name}: ${NOT_YET_SIGNED}`);
  }

  /** PEP 658: beside a wheel on a signed page, with the hash that the page says. */
  async #coreMetadata(path: string): Promise<TargetAnswer | undefined> {
    const { fetcher, pages, targetBaseUrl } = this.#deps;
    const wheel = path.slice(0, -METADATA_SUFFIX.length);
    const project = parseFileName(wheel.split('/').at(-1) ?? '')?.project;
    const page = project === undefined ? undefined : await pages.find(project);
    const listed = page?.files.find(({ targetPath }) => targetPath === wheel);
    const expected = listed?.coreMetadata?.['sha256'];
    if (page?.signed !== true || expected === undefined) return undefined;
    const url = `${targetBaseUrl}${quotePath(path)}`;
    const bytes =
      (await fetchWhole(fetcher, url, MAX_CORE_METADATA_BYTES)) ?? (await this.#metadataInside(wheel));
    if (bytes === undefined) throw new CountersignError('not-found', `${url} does not exist`);
    const actual = createHash('sha256').update(bytes).digest('hex');
    if (actual !== expected) {
      throw new CountersignError(
        'length-or-hash-mismatch',
        `${path.split('/').at(-1) ?? path} has sha256 ${actual}, its signed page says ${expected}`,
      );
    }
    return inMemory(bytes, expected);
  }

  /** For an upstream with nothing beside its wheels: a mirror copies targets only. */
  async #metadataInside(wheel: string): Promise<Uint8Array | undefined> {
    const target = await this.#deps.state.find(wheel);
    if (target === undefined) return undefined;
    const file = await this.#open(target);
    try {
      return await metadataOfWheel(file, MAX_CORE_METADATA_BYTES);
    } finally {
      await file.close();
    }
  }

  #open(target: Target): Promise<OpenFile> {
    const { state, files, targetBaseUrl: baseUrl } = this.#deps;
    const url = targetUrl(target, { baseUrl, consistentSnapshot: state.consistentSnapshot });
    return files.open({ ...target, url });
  }
}

/** The answer for bytes that are there already. */
export function inMemory(bytes: Uint8Array, tag: string): TargetAnswer {
  const { length } = bytes;
  const file: OpenFile = {
    length,
    read: async function* (start, end) {
      await Promise.resolve();
      if (end >= start) yield bytes.subarray(start, end + 1);
    },
    close: () => Promise.resolve(),
  };
  return { length, tag, open: () => Promise.resolve(file) };
}
