// Breaks a repository the way somebody with its keys could: edits a file and signs it again, so that exactly the rule
// in question is broken and no signature.
import type { CeremonyKey } from '../../keys-ceremony/ceremony-key.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { canonicalBytes, type Canonicalizable } from '../../src/tuf/canonical-json.ts';
import { envelopeFile } from '../../src/tuf/envelope.ts';
import { TIMESTAMP_NAME, versionedName } from '../../src/tuf/layout.ts';
import { splitMetadataFile } from '../../src/tuf/metadata-file.ts';
import type { Signature } from '../../src/tuf/metadata.ts';
import type { TestRepository } from './repository.ts';

/** The signed part of a file, to be changed in place. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a test reaches anywhere into it
export type Editable = any;

export class Forger {
  readonly #repository: TestRepository;

  constructor(repository: TestRepository) {
    this.#repository = repository;
  }

  async bytes(name: string): Promise<Buffer> {
    const object = await this.#repository.store.get(name, 10_000_000);
    if (object === undefined) throw new Error(`${name} is absent`);
    return Buffer.from(object.bytes);
  }

  /** Edits an object and signs it with the keys of its role. */
  async edit(name: string, change: (signed: Editable) => void): Promise<void> {
    const file = JSON.parse((await this.bytes(name)).toString()) as { signed: Editable };
    change(file.signed);
    await this.write(name, file.signed as Canonicalizable);
  }

  /** Signs `signed` with the keys of the role in `name`, and puts it there. */
  async write(name: string, signed: Canonicalizable): Promise<void> {
    const signedBytes = canonicalBytes(signed);
    const signatures = await this.sign(name, signedBytes);
    this.#repository.store.tamper(name, envelopeFile({ signedBytes, signatures }));
  }

  /** Changes bytes without signing again. */
  async replaceText(name: string, from: string | RegExp, to: string): Promise<void> {
    const text = (await this.bytes(name)).toString('latin1');
    const changed = text.replace(from, to);
    if (changed === text) throw new Error(`${name} does not hold ${String(from)}`);
    this.#repository.store.tamper(name, Buffer.from(changed, 'latin1'));
  }

  /** Signs the signed part of a file as it stands, however it is written. */
  async signAsIs(name: string, change: (signed: string) => string): Promise<void> {
    const { signed } = splitMetadataFile(await this.bytes(name));
    const text = change(Buffer.from(signed).toString('utf8'));
    const signatures = await this.sign(name, Buffer.from(text));
    this.#repository.store.tamper(name, envelopeFile({ signedBytes: Buffer.from(text), signatures }));
  }

  /** Edits the current snapshot, and lets timestamp say so. */
  async editSnapshot(change: (signed: Editable) => void, version = 2): Promise<void> {
    const name = versionedName('snapshot', version);
    await this.edit(name, change);
    await this.pointTimestamp(version);
  }

  /** Makes timestamp describe the snapshot file that is in the store. */
  async pointTimestamp(version = 2): Promise<void> {
    const bytes = await this.bytes(versionedName('snapshot', version));
    await this.edit(TIMESTAMP_NAME, (signed: Editable) => {
      // eslint-disable-next-line @typescript-eslint/no-unsafe-member-access -- see Editable
      signed.meta['snapshot.json'] = {
        version,
        length: bytes.length,
        hashes: { sha256: sha256Hex(bytes) },
      };
    });
  }

  async sign(name: string, bytes: Uint8Array): Promise<Signature[]> {
    const { offlineKeys, signer } = this.#repository;
    const role = /\.(root|targets|bins)\.json$/.exec(name)?.[1] as keyof typeof offlineKeys | undefined;
    if (role === undefined) {
      const [signature] = await signer.sign([bytes]);
      return [{ keyid: signer.keyid, sig: Buffer.from(signature ?? []).toString('hex') }];
    }
    return Promise.all(offlineKeys[role].map((key: CeremonyKey) => key.sign(bytes)));
  }
}
