// An installer's view, through a client that is not ours: tuf-js. It is given root.json and an address, nothing else.
import { copyFile, mkdir, readFile } from 'node:fs/promises';
import path from 'node:path';
import { Updater } from 'tuf-js';
import { Type } from 'typebox';
import { Value } from 'typebox/value';
import { messageOf } from '../lib/errors.ts';

const SnapshotVersion = Type.Object({
  signed: Type.Object({ meta: Type.Object({ 'snapshot.json': Type.Object({ version: Type.Integer() }) }) }),
});

export interface ListedTarget {
  /** Bytes. */
  readonly length: number;
  readonly sha256: string | undefined;
}

/** Why a client refused, in its own words. */
export interface Refusal {
  /** The name of the error class. */
  readonly kind: string;
  readonly message: string;
}

export class OutsideClient {
  readonly #metadataDir: string;
  readonly #targetDir: string;

  private constructor(directory: string) {
    this.#metadataDir = path.join(directory, 'metadata');
    this.#targetDir = path.join(directory, 'targets');
  }

  /** A client that keeps its state in the new directory `directory` and trusts the root in `rootFile`. */
  static async create(directory: string, rootFile: string): Promise<OutsideClient> {
    const client = new OutsideClient(directory);
    await mkdir(client.#metadataDir, { recursive: true });
    await mkdir(client.#targetDir);
    await copyFile(rootFile, path.join(client.#metadataDir, 'root.json'));
    return client;
  }

  /** Takes the newest metadata from `address`; the version of the snapshot that it trusts then. */
  async refresh(address: string): Promise<number> {
    await this.#updater(address).refresh();
    const timestamp: unknown = JSON.parse(
      await readFile(path.join(this.#metadataDir, 'timestamp.json'), 'utf8'),
    );
    return Value.Parse(SnapshotVersion, timestamp).signed.meta['snapshot.json'].version;
  }

  /** What verified metadata says about a target path. */
  async look(address: string, targetPath: string): Promise<ListedTarget | undefined> {
    const found = await this.#updater(address).getTargetInfo(targetPath);
    return found && { length: found.length, sha256: found.hashes['sha256'] };
  }

  /** Downloads and verifies a target file; where it is now. Rejects with tuf-js's own error when it is refused. */
  async download(address: string, targetPath: string): Promise<string> {
    const updater = this.#updater(address);
    const found = await updater.getTargetInfo(targetPath);
    if (found === undefined) throw new Error(`no target ${targetPath} at ${address}`);
    return updater.downloadTarget(found, path.join(this.#targetDir, path.basename(targetPath)));
  }

  #updater(address: string): Updater {
    return new Updater({
      metadataDir: this.#metadataDir,
      metadataBaseUrl: `${address}/metadata`,
      targetDir: this.#targetDir,
      targetBaseUrl: `${address}/targets`,
    });
  }
}

/** How `attempt` is refused, or undefined when it is not. */
export async function refusalOf(attempt: Promise<unknown>): Promise<Refusal | undefined> {
  try {
    await attempt;
    return undefined;
  } catch (error) {
    const kind = error instanceof Error ? error.constructor.name : typeof error;
    return { kind, message: messageOf(error) };
  }
}
