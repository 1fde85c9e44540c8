// The uploads that the demo replays: facts about real public uploads, carried in the source tree
// (src/demo/ORIGIN.md). tsc copies no data, so the file is read where it lies in the package, also by the built program.
import { readFile } from 'node:fs/promises';
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { messageOf } from '../lib/errors.ts';
import { demoFailed } from './failure.ts';

const FILE = new URL('../../../src/demo/real-uploads.ndjson', import.meta.url);

/** The release whose uploads are sent one by one, as they happened; everything else was uploaded before it. */
const RELEASE = { project: 'cryptography', version: '50.0.0' } as const;

const RealUpload = Type.Object({
  project: Type.String(),
  version: Type.String(),
  /** The target path. */
  path: Type.String(),
  /** Bytes. */
  length: Type.Integer(),
  sha256: Type.String(),
  /** RFC 3339. */
  uploaded: Type.String(),
});

export type RealUpload = Static<typeof RealUpload>;

export interface RealUploads {
  /** What the index served before it had signatures. */
  readonly existing: readonly RealUpload[];
  readonly release: readonly RealUpload[];
}

/** @throws CountersignError `demo-failed` when the file is not in the package. */
export async function readRealUploads(): Promise<RealUploads> {
  const lines = await readFile(FILE, 'utf8').catch((error: unknown) => {
    throw demoFailed(`cannot read the uploads of the demo: ${messageOf(error)}`, error);
  });
  const uploads = lines
    .trimEnd()
    .split('\n')
    .map((line) => Value.Parse(RealUpload, JSON.parse(line)));
  const isRelease = ({ project, version }: RealUpload): boolean =>
    project === RELEASE.project && version === RELEASE.version;
  return {
    existing: uploads.filter((upload) => !isRelease(upload)),
    release: uploads.filter(isRelease),
  };
}

/** The event that an index sends about an upload, as `POST /v1/events` takes it. */
export function eventOfUpload({ path, length, sha256 }: RealUpload) {
  return { changes: [{ op: 'add', path, length, hashes: { sha256 } }] };
}
