// What is told of each use of the online key, so that the head of the audit log stands outside the ledger too.
import { sha256Hex } from '../lib/bytes.ts';
import type { Logger } from '../lib/log.ts';
import type { Metrics } from '../lib/metrics.ts';
import type { AuditMark, SignedFile } from '../ledger/ledger.ts';
import { envelopeFile } from '../tuf/envelope.ts';
import { splitMetadataFile } from '../tuf/metadata-file.ts';
import type { PublicTimestamp } from './verified-reads.ts';

export interface KeyUse {
  /** Told of each record of the audit log that this process has added. Must not throw. */
  readonly recorded?: (mark: AuditMark) => void;
}

/** The chain of records stands in the log too: whoever rewrites the ledger's would have to rewrite every log. */
export function auditLog(log: Logger, metrics: Pick<Metrics, 'auditRecord'>): (mark: AuditMark) => void {
  return ({ number, hash, kind, snapshot }) => {
    log.info({ audit: number, hash, kind, snapshot }, 'use of the online key recorded');
    metrics.auditRecord.set(number);
  };
}

/** Tells of a record that was added; undefined: nothing was. */
export function told({ recorded }: KeyUse, mark: AuditMark | undefined): void {
  if (mark !== undefined) recorded?.(mark);
}

/** A file of our own form that is in the store, as the audit log has it. */
export function storedFile(bytes: Uint8Array): SignedFile {
  const { signatures } = splitMetadataFile(bytes);
  return { sha256: sha256Hex(bytes), keyids: signatures.map(({ keyid }) => keyid) };
}

/** The same of the timestamp that is public. */
export function publicFile({ envelope }: PublicTimestamp): SignedFile {
  return storedFile(envelopeFile(envelope));
}
