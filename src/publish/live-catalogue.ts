// The catalogue as the newest finished publication has it, whichever process made it. Reads the store, trusts the
// ledger's root, keeps one snapshot and no bins.
import { CountersignError } from '../lib/errors.ts';
import type { History } from '../ledger/ledger.ts';
import type { ObjectStore } from '../storage/store.ts';
import { METADATA_PREFIX, versionedName } from '../tuf/layout.ts';
import { splitMetadataFile } from '../tuf/metadata-file.ts';
import { MAX_METADATA_BYTES } from '../tuf/metadata-limits.ts';
import type { SnapshotDocument } from '../tuf/snapshot-document.ts';
import { checkSameLayout, verifyBinFile } from '../tuf/verify-roles.ts';
import type { Catalogue, TargetLookup } from './catalogue.ts';
import { loadOfflineRoles, loadSnapshot, type OfflineRoles } from './verified-reads.ts';

interface View {
  readonly roles: OfflineRoles;
  readonly snapshot: SnapshotDocument;
}

export class LiveCatalogue implements Catalogue {
  readonly #history: History;
  readonly #store: ObjectStore;
  #view: { readonly version: number; readonly loaded: Promise<View> } | undefined;

  constructor(history: History, store: ObjectStore) {
    this.#history = history;
    this.#store = store;
  }

  async lookup(path: string): Promise<TargetLookup> {
    const { roles, snapshot } = await this.#current();
    const index = snapshot.layout.indexOf(path);
    const version = snapshot.versionOf(index);
    const name = snapshot.layout.name(index);
    const file = versionedName(name, version);
    const object = await this.#store.get(file, MAX_METADATA_BYTES.targets);
    if (object === undefined) throw new CountersignError('bin-altered', `${file} is not in the store`);
    const bin = await verifyBinFile(object.bytes, roles.binTrust, index, version, {
      now: 0,
      expiry: 'ignored',
    }).catch((cause: unknown) => {
      throw new CountersignError('bin-altered', `${file} is not what was published`, { cause });
    });
    const target = bin.get(path);
    return {
      snapshot: { version: snapshot.version, expires: snapshot.expires },
      bin: {
        name,
        version,
        expires: bin.expires,
        signatures: splitMetadataFile(object.bytes).signatures,
      },
      ...(target === undefined ? {} : { target }),
    };
  }

  async #current(): Promise<View> {
    const head = await this.#history.head();
    // While a publication is being carried out, the one before it is what clients see.
    const version = (head?.snapshot ?? 0) - (head?.unfinished === undefined ? 0 : 1);
    if (head === undefined || version < 1) {
      throw new CountersignError('not-bootstrapped', `there is no repository under ${METADATA_PREFIX} yet`);
    }
    if (this.#view?.version !== version) {
      const loaded = loadOfflineRoles(this.#store, head).then(async (roles) => {
        const snapshot = await loadSnapshot(this.#store, roles, version);
        checkSameLayout(roles.binTrust.layout, snapshot);
        return { roles, snapshot };
      });
      this.#view = { version, loaded };
      loaded.catch(() => (this.#view = undefined));
    }
    return this.#view.loaded;
  }
}
