// What upstream promises about how long it keeps what it supersedes: it sets the pace of a sync.
import { hasCode } from '../../lib/errors.ts';
import { METADATA_PREFIX, RETENTION_NAME } from '../../tuf/layout.ts';
import { MAX_RETENTION_BYTES, parseRetention } from '../../tuf/retention-promise.ts';
import type { Upstream } from './upstream.ts';

/** Milliseconds; undefined when upstream promises nothing that can be read. Not signed: a hint, and no more. */
export async function upstreamRetention(upstream: Upstream): Promise<number | undefined> {
  try {
    const name = RETENTION_NAME.slice(METADATA_PREFIX.length);
    const bytes = await upstream.metadata(name, MAX_RETENTION_BYTES);
    return bytes && parseRetention(bytes).retentionMs;
  } catch (error) {
    // Also a server that has other answers than 404 for what it does not have. One that is away says so to the next request.
    if (hasCode(error, 'metadata-invalid', 'metadata-too-large', 'upstream-unavailable')) return undefined;
    throw error;
  }
}
