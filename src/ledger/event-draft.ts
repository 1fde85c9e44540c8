// An event ready to be written: all that can be computed before a lock is taken.
import { contentDigest } from './content-digest.ts';
import type { UploadEvent } from './ledger.ts';

export interface EventDraft {
  readonly id: string;
  readonly digest: string;
  /** JSON. */
  readonly changes: string;
}

export function draftEvent(event: UploadEvent): EventDraft {
  return { id: event.id, digest: contentDigest(event.changes), changes: JSON.stringify(event.changes) };
}
