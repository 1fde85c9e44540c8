// The signer with its key in AWS KMS: P-256 over digests. Ed25519 is not possible there: KMS takes messages of at most
// 4 KiB, and Ed25519 needs the whole of a bin. Credentials come from the standard chain of the SDK and nowhere else.
import { createHash, createPublicKey } from 'node:crypto';
import { GetPublicKeyCommand, KMSClient, SignCommand } from '@aws-sdk/client-kms';
import { mapConcurrent } from '../lib/concurrency.ts';
import { CountersignError } from '../lib/errors.ts';
import { keyId, publicKeyOf } from '../tuf/keys.ts';
import type { PublicKey } from '../tuf/metadata.ts';
import type { Signer } from './signer.ts';

export interface KmsLocation {
  /** `alias/NAME`, a key id, or the ARN of either. */
  readonly key: string;
  readonly region?: string;
  /** An http or https origin, for a server other than Amazon's. */
  readonly endpoint?: string;
}

/** Requests at once; the smallest quota of KMS for elliptic keys is 300 a second. */
const PARALLEL_SIGNATURES = 16;
const ATTEMPTS = 3;
const CONNECT_MS = 3000;
const REQUEST_MS = 10_000;
/** Milliseconds for a call with all its attempts, to the last byte of the answer: the SDK's own limits end with its headers. */
const CALL_MS = 40_000;

const EXPLANATIONS: Readonly<Record<string, string>> = {
  AccessDeniedException: 'the policy must allow kms:GetPublicKey and kms:Sign on the key',
  NotFoundException: 'there is no such key in this region and account',
  ThrottlingException: 'more requests than the quota of the account allows',
  LimitExceededException: 'more requests than the quota of the account allows',
  DisabledException: 'the key is disabled',
  KMSInvalidStateException: 'the key is disabled, pending import or pending deletion',
  CredentialsProviderError: 'no credentials in the standard chain (environment, files, role)',
  TimeoutError: 'no answer in time',
  AbortError: 'no answer in time',
};

/** @throws CountersignError `config-invalid` for a key of another kind, `signer-unavailable`. */
export async function openKmsSigner(location: KmsLocation, callMs = CALL_MS): Promise<Signer> {
  const client = await createClient(location);
  try {
    const answer = await client
      .send(new GetPublicKeyCommand({ KeyId: location.key }), { abortSignal: AbortSignal.timeout(callMs) })
      .catch((error: unknown) => {
        throw kmsUnavailable(location.key, error);
      });
    const { KeyId: arn, KeySpec: spec, KeyUsage: usage, PublicKey: der } = answer;
    const publicKey = der === undefined ? undefined : p256KeyIn(der);
    if (publicKey === undefined || usage !== 'SIGN_VERIFY' || arn === undefined) {
      const kind = spec ?? 'another kind of key';
      throw new CountersignError(
        'config-invalid',
        `KMS key ${location.key} is ${kind} for ${usage ?? 'nothing'}, expected ECC_NIST_P256 for SIGN_VERIFY`,
      );
    }
    return new KmsSigner(client, arn, publicKey, callMs);
  } catch (error) {
    client.destroy();
    throw error;
  }
}

/** The TUF form of a P-256 key; undefined for any other. */
function p256KeyIn(der: Uint8Array): PublicKey | undefined {
  try {
    const key = publicKeyOf(createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' }));
    return key.keytype === 'ecdsa' ? key : undefined;
  } catch {
    return undefined;
  }
}

async function createClient({ key, region, endpoint }: KmsLocation): Promise<KMSClient> {
  const ofArn = /^arn:[^:]+:kms:([^:]+):/.exec(key)?.[1];
  const where = region ?? ofArn;
  const client = new KMSClient({
    ...(where === undefined ? {} : { region: where }),
    ...(endpoint === undefined ? {} : { endpoint }),
    maxAttempts: ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: REQUEST_MS,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets: PARALLEL_SIGNATURES },
      httpsAgent: { keepAlive: true, maxSockets: PARALLEL_SIGNATURES },
    },
  });
  try {
    await client.config.region();
    return client;
  } catch {
    client.destroy();
    throw new CountersignError(
      'config-invalid',
      `KMS key ${key} has no region: add ?region=REGION, give its ARN, or set AWS_REGION`,
    );
  }
}

class KmsSigner implements Signer {
  readonly keyid: string;
  readonly publicKey: PublicKey;
  readonly #client: KMSClient;
  /** The key itself: an alias could mean another one tomorrow. */
  readonly #arn: string;
  readonly #callMs: number;
  #closed = false;

  constructor(client: KMSClient, arn: string, publicKey: PublicKey, callMs: number) {
    this.#callMs = callMs;
    this.#client = client;
    this.#arn = arn;
    this.publicKey = publicKey;
    this.keyid = keyId(publicKey);
  }

  async sign(messages: readonly Uint8Array[]): Promise<Uint8Array[]> {
    if (this.#closed)
      throw new CountersignError('signer-unavailable', `signer with key ${this.keyid} is closed`);
    return mapConcurrent(messages, PARALLEL_SIGNATURES, (message) => this.#signOne(message));
  }

  close(): Promise<void> {
    this.#closed = true;
    this.#client.destroy();
    return Promise.resolve();
  }

  async #signOne(message: Uint8Array): Promise<Uint8Array> {
    const command = new SignCommand({
      KeyId: this.#arn,
      Message: createHash('sha256').update(message).digest(),
      MessageType: 'DIGEST',
      SigningAlgorithm: 'ECDSA_SHA_256',
    });
    const abortSignal = AbortSignal.timeout(this.#callMs);
    const { Signature: signature } = await this.#client
      .send(command, { abortSignal })
      .catch((error: unknown) => {
        throw kmsUnavailable(this.#arn, error);
      });
    if (signature === undefined) {
      throw new CountersignError('signer-invalid', `KMS key ${this.#arn}: the answer has no signature`);
    }
    return signature;
  }
}

/** No cause: the SDK's errors carry the signed request. */
function kmsUnavailable(key: string, error: unknown): CountersignError {
  const name = error instanceof Error ? error.name : 'Error';
  const code =
    error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined;
  const words = EXPLANATIONS[name] ?? code;
  const reason = words === undefined ? name : `${name}: ${words}`;
  return new CountersignError(
    'signer-unavailable',
    `KMS key ${key}: ${reason.replaceAll(/[^\x20-\x7e]+/g, ' ')}`,
  );
}
