// Events, targets and intents for tests of ledgers.
import { sha256Hex } from '../../src/lib/bytes.ts';
import type { Intent, SignedFiles, UploadEvent } from '../../src/ledger/ledger.ts';
import type { TargetFile } from '../../src/tuf/metadata.ts';

export const EXPIRES = '2026-03-02T00:00:00Z';

export function target(content: string): TargetFile {
  return { length: content.length, hashes: { sha256: sha256Hex(content) } };
}

export function event(id: string, content = id): UploadEvent {
  return { id, changes: [{ op: 'add', path: `packages/${id}.whl`, target: target(content) }] };
}

/** The intent of `snapshot`; snapshot 1 founds the repository. */
export function intent(snapshot: number, parts: Partial<Intent> = {}): Intent {
  return {
    snapshot,
    timestamp: snapshot,
    at: 1_000 * snapshot,
    expires: { timestamp: EXPIRES, snapshot: EXPIRES, bin: EXPIRES },
    roles: { root: 1, targets: 1, bins: 1 },
    events: [],
    rejected: [],
    bins: [{ bin: 0, version: snapshot }],
    ...(snapshot === 1 ? { bundle: 'ab'.repeat(32), trustedRoot: '{"signed":\n1}' } : {}),
    ...parts,
  };
}

/** What was signed for an intent. */
export function digests({ snapshot, timestamp, bins }: Intent): SignedFiles {
  const file = (name: string) => ({ sha256: sha256Hex(name), keyids: ['key'] });
  return {
    snapshot: file(`${snapshot}.snapshot`),
    timestamp: file(`timestamp ${timestamp}`),
    bins: bins.map(({ bin, version }) => sha256Hex(`${version}.bin-${bin}`)),
  };
}
