// The signer with its key in Vault's transit engine: the key never leaves the server. Ed25519 has to send whole
// messages (a bin has a quarter of a megabyte), P-256 sends digests.
import { createHash } from 'node:crypto';
import type { Clock } from '../../lib/clock.ts';
import { mapConcurrent } from '../../lib/concurrency.ts';
import { CountersignError } from '../../lib/errors.ts';
import type { PublicKey } from '../../tuf/metadata.ts';
import type { Signer } from '../signer.ts';
import { VaultClient } from './client.ts';
import { field } from './failures.ts';
import type { VaultSettings } from './settings.ts';
import { chooseVersion, readVersions, type TransitKeyName, type TransitVersion } from './transit-key.ts';

/** Bytes of messages in one request, before base64 makes them a third longer; servers take 32 MiB by default. */
const REQUEST_BYTES = 4 * 1024 * 1024;
/** Messages in one request: a server signs them one after the other. */
const REQUEST_MESSAGES = 128;
const PARALLEL_REQUESTS = 4;

export interface TransitOptions {
  readonly settings: VaultSettings;
  readonly name: TransitKeyName;
  /** The version that the configuration asks for. */
  readonly version?: number | undefined;
  readonly clock: Clock;
  /** Key ids that the repository names for its online roles; empty when that is not known. */
  readonly trusted: readonly string[];
  /** Told what the operator should know: that the newest version is not the one that signs. */
  readonly warn: (message: string) => void;
}

/** @throws CountersignError `signer-unavailable`, `config-invalid`, `secret-unreadable`. */
export async function openTransitSigner(options: TransitOptions): Promise<Signer> {
  const { settings, name, version, clock, trusted, warn } = options;
  const client = new VaultClient(settings, clock);
  try {
    const versions = await readVersions(client, name);
    const chosen = chooseVersion(versions, { wanted: version, trusted });
    const newest = versions[0] ?? chosen;
    if (newest.version !== chosen.version && version === undefined) {
      warn(
        `transit key ${name.mount}/${name.key} was rotated: signing with version ${chosen.version} (key ${chosen.keyid}), ` +
          `which the repository trusts; the latest, version ${newest.version} (key ${newest.keyid}), is not trusted yet`,
      );
    }
    return new TransitSigner(client, name, chosen);
  } catch (error) {
    await client.close();
    throw error;
  }
}

class TransitSigner implements Signer {
  readonly keyid: string;
  readonly publicKey: PublicKey;
  readonly #client: VaultClient;
  readonly #name: TransitKeyName;
  readonly #version: number;
  #closed = false;

  constructor(client: VaultClient, name: TransitKeyName, { version, keyid, publicKey }: TransitVersion) {
    this.#client = client;
    this.#name = name;
    this.#version = version;
    this.keyid = keyid;
    this.publicKey = publicKey;
  }

  async sign(messages: readonly Uint8Array[]): Promise<Uint8Array[]> {
    if (this.#closed) {
      throw new CountersignError('signer-unavailable', `signer with key ${this.keyid} is closed`);
    }
    const isWhole = this.publicKey.keytype === 'ed25519';
    const inputs = isWhole
      ? messages
      : messages.map((message) => createHash('sha256').update(message).digest());
    const signatures = await mapConcurrent(requestsOf(inputs), PARALLEL_REQUESTS, (batch) =>
      this.#signBatch(batch, isWhole),
    );
    return signatures.flat();
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client.close();
  }

  async #signBatch(inputs: readonly Uint8Array[], isWhole: boolean): Promise<Buffer[]> {
    const { mount, key } = this.#name;
    const answer = await this.#client.write(`${mount}/sign/${key}`, {
      key_version: this.#version,
      batch_input: inputs.map((input) => ({ input: Buffer.from(input).toString('base64') })),
      ...(isWhole ? {} : { prehashed: true, hash_algorithm: 'sha2-256', marshaling_algorithm: 'asn1' }),
    });
    const results = field(field(answer, 'data'), 'batch_results');
    if (!Array.isArray(results) || results.length !== inputs.length) {
      const found = Array.isArray(results) ? results.length : 'no';
      throw this.#invalid(`gave ${found} signatures for ${inputs.length} messages`);
    }
    return results.map((result: unknown) => this.#signatureIn(result));
  }

  #signatureIn(result: unknown): Buffer {
    const problem = field(result, 'error');
    if (typeof problem === 'string' && problem !== '') {
      const { mount, key } = this.#name;
      const said = problem.replaceAll(/[^\x20-\x7e]+/g, ' ').slice(0, 300);
      throw new CountersignError(
        'signer-unavailable',
        `vault ${this.#client.address}: ${mount}/sign/${key}, version ${this.#version}: ${said}`,
      );
    }
    const text = field(result, 'signature');
    const match = typeof text === 'string' ? /^vault:v(\d+):([A-Za-z0-9+/]+={0,2})$/.exec(text) : null;
    if (match === null) throw this.#invalid('gave a signature of another form than vault:vN:BASE64');
    if (Number(match[1]) !== this.#version) {
      throw this.#invalid(`signed with version ${match[1] ?? '?'}, asked for ${this.#version}`);
    }
    return Buffer.from(match[2] ?? '', 'base64');
  }

  #invalid(problem: string): CountersignError {
    const { mount, key } = this.#name;
    return new CountersignError(
      'signer-invalid',
      `vault ${this.#client.address}: ${mount}/sign/${key} ${problem}`,
    );
  }
}

/** The messages in their order, in portions that one request carries. */
function requestsOf(messages: readonly Uint8Array[]): Uint8Array[][] {
  const requests: Uint8Array[][] = [];
  let room = 0;
  for (const message of messages) {
    const current = requests.at(-1);
    if (current === undefined || current.length === REQUEST_MESSAGES || message.length > room) {
      requests.push([message]);
      room = REQUEST_BYTES - message.length;
    } else {
      current.push(message);
      room -= message.length;
    }
  }
  return requests;
}
