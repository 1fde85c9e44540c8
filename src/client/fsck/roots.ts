// The chain of roots: all of them there, each signed by its predecessor and by itself.
import { equalBytes } from '../../lib/bytes.ts';
import type { Envelope } from '../../tuf/envelope.ts';
import { versionedName } from '../../tuf/layout.ts';
import { MAX_METADATA_BYTES, MAX_ROOT_ROTATIONS } from '../../tuf/metadata-limits.ts';
import type { Root } from '../../tuf/metadata.ts';
import { parseRoot } from '../../tuf/parse-root.ts';
import { topLevelTrust } from '../../tuf/verify-roles.ts';
import type { RepositorySource } from '../source.ts';
import { inspectRootFields } from './fields.ts';
import type { Findings } from './findings.ts';
import { inspectFile, parsing, readObject } from './form.ts';
import type { Listing } from './listing.ts';
import { checkExpiry, checkSignatures, checkVersionNumber } from './role-checks.ts';

export interface RootPorts {
  readonly source: RepositorySource;
  readonly findings: Findings;
  readonly listing: Listing | undefined;
  /** The root that somebody trusts. */
  readonly trusted: Envelope<Root> | undefined;
  readonly now: number;
}

/** The roots that hold, ascending; the last one is what the other roles are measured by. */
export async function checkRoots(ports: RootPorts): Promise<Root[]> {
  const { findings, trusted, now } = ports;
  const roots: Root[] = [];
  let count = 0;
  let next = 1;
  for await (const [version, bytes] of rootFiles(ports)) {
    noteGap(findings, next, version);
    next = version + 1;
    count += 1;
    const root = await checkRoot(ports, roots.at(-1), version, bytes);
    if (root !== undefined) roots.push(root);
  }
  const newest = Math.max(1, trusted?.signed.version ?? 1);
  noteGap(findings, next, newest + 1);
  if (count > MAX_ROOT_ROTATIONS) {
    findings.add('interop-15', versionedName('root', next - 1), `is one of ${count} roots`);
  }
  const last = roots.at(-1);
  if (last !== undefined) {
    checkExpiry(findings, 'tuf-5.3.10', versionedName('root', last.version), last.expires, now);
  }
  return roots;
}

async function* rootFiles({
  source,
  findings,
  listing,
}: RootPorts): AsyncGenerator<[version: number, bytes: Uint8Array]> {
  const max = MAX_METADATA_BYTES.root;
  if (listing !== undefined) {
    for (const version of listing.versions('root')) {
      const bytes = await readObject(source, findings, versionedName('root', version), max, 'interop-9');
      if (bytes !== undefined) yield [version, bytes];
    }
    return;
  }
  for (let version = 1; version <= MAX_ROOT_ROTATIONS + 1; version++) {
    const bytes = await source.get(versionedName('root', version), max);
    if (bytes === undefined) return;
    yield [version, bytes];
  }
}

function noteGap(findings: Findings, from: number, to: number): void {
  if (from >= to) return;
  const names = from === to - 1 ? 'is absent' : `and all up to version ${to - 1} are absent`;
  findings.add('interop-9', versionedName('root', from), names);
}

async function checkRoot(
  { findings, trusted }: RootPorts,
  previous: Root | undefined,
  version: number,
  bytes: Uint8Array,
): Promise<Root | undefined> {
  const name = versionedName('root', version);
  const before = findings.count;
  const view = inspectFile(findings, name, 'root', bytes);
  if (view === undefined) return undefined;
  const { signed, signedBytes, signatures } = view;
  inspectRootFields(findings, name, signed);
  const root = parsing(findings, name, before, () => parseRoot(bytes))?.signed;
  checkVersionNumber(findings, 'tuf-5.3.5', name, signed.get('version'), version);
  if (trusted?.signed.version === version && !equalBytes(trusted.signedBytes, signedBytes)) {
    findings.add('interop-8', name, `is another root than the trusted one of version ${version}`);
  }
  if (root === undefined) return undefined;
  const verify = (trust: Root): Promise<boolean> =>
    checkSignatures(findings, 'tuf-5.3.4', name, topLevelTrust(trust, 'root'), signedBytes, signatures);
  const itself = await verify(root);
  const successor = previous === undefined || (await verify(previous));
  return itself && successor ? root : undefined;
}
