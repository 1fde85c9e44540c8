// Opens the store, the ledger and the online keys that the configuration names; ./open-signer.ts opens one key. Each is
// loaded when it is needed: clients of servers are larger than the rest of the program, and a mirror needs a store alone.
import type { Config } from './config.ts';
import type { History, Ledger, Restoration } from './ledger/ledger.ts';
import type { SharedWork } from './ledger/shared-work.ts';
import type { PostgresAccess, PostgresLocation } from './ledger/postgres-location.ts';
import type { Clock } from './lib/clock.ts';
import { CountersignError } from './lib/errors.ts';
import type { Logger } from './lib/log.ts';
import type { SignerUse } from './open-signer.ts';
import type { LeaseTaker } from './publish/lease.ts';
import type { Signers } from './publish/signers.ts';
import type { Secrets } from './secrets.ts';
import { isSameKey } from './signing/late-signer.ts';
import { openFileStore } from './storage/file-store.ts';
import type { ObjectStore } from './storage/store.ts';

/** What the process gives to its service: time, identity and randomness. */
export interface Runtime extends LeaseTaker {
  readonly clock: Clock;
  readonly log: Logger;
  /** A new unguessable identifier. */
  readonly newId: () => string;
  /** 0 <= r < 1. */
  readonly random: () => number;
}

/**
 * Opens the store to publish into it, or to `read` it with credentials that may do no more.
 * @throws CountersignError `store-unavailable`, `store-unsuitable`, `config-invalid`.
 */
export async function openStore(
  { store }: Pick<Config, 'store'>,
  runtime: Pick<Runtime, 'clock' | 'random'>,
  access: 'publish' | 'read' = 'publish',
): Promise<ObjectStore> {
  if (store.kind === 'file') return openFileStore(store.directory);
  const { openS3Store } = await import('./storage/s3-store.ts');
  return openS3Store(store, runtime, { access });
}

/** @throws CountersignError `ledger-unavailable`, `ledger-invalid`, `config-invalid`, `secret-unreadable`. */
export async function openLedger(
  { ledger }: Pick<Config, 'ledger'>,
  secrets: Pick<Secrets, 'ledgerPassword'>,
  runtime: Pick<Runtime, 'clock' | 'random'> & Partial<Pick<Runtime, 'log'>>,
): Promise<Ledger & History & Restoration & SharedWork> {
  if (ledger.kind === 'sqlite') {
    const { openSqliteLedger } = await import('./ledger/sqlite-ledger.ts');
    return openSqliteLedger(ledger.path);
  }
  const { openPostgresLedger } = await import('./ledger/postgres-ledger.ts');
  return openPostgresLedger(postgresAccess(ledger, secrets, runtime));
}

/** What it takes to get into the database that the configuration names. */
export function postgresAccess(
  location: PostgresLocation,
  { ledgerPassword }: Pick<Secrets, 'ledgerPassword'>,
  { clock, random, log }: Pick<Runtime, 'clock' | 'random'> & Partial<Pick<Runtime, 'log'>>,
): PostgresAccess {
  return {
    location,
    clock,
    random,
    ...(ledgerPassword === undefined ? {} : { password: ledgerPassword }),
    ...(log === undefined
      ? {}
      : {
          warn: (message: string) => {
            log.warn(message);
          },
        }),
  };
}

/** Opens the online key, and the one that is to replace it if there is one. `close` closes both. */
export async function openSigners(
  { signer, nextSigner }: Pick<Config, 'signer' | 'nextSigner'>,
  secrets: Secrets,
  use: SignerUse,
): Promise<Signers & { close(): Promise<void> }> {
  const { openSigner } = await import('./open-signer.ts');
  const first = await openSigner({ signer }, secrets, use);
  if (nextSigner === undefined) return { signer: first, close: () => first.close() };
  try {
    const own = {
      signerPassphrase: () => secrets.nextSignerPassphrase(),
      vaultToken: (file: string | undefined) => secrets.vaultToken(file),
    };
    const next = await openSigner({ signer: nextSigner }, own, use, 'next-signer');
    const close = async (): Promise<void> => {
      await Promise.all([first.close(), next.close()]);
    };
    // The same key twice is one key: it would sign everything twice and prove nothing.
    if (!isSameKey(first, next)) return { signer: first, nextSigner: next, close };
    await next.close();
    throw new CountersignError('config-invalid', `signer and next-signer are the same key, ${first.keyid}`);
  } catch (error) {
    await first.close();
    throw error;
  }
}
