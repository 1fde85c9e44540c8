// A PKCS#11 library in this process. It is initialized once, however many keys are open in it, and finalized with the
// last of them, so that a token that was plugged in again is seen by modules that look only when they begin.
import type * as Pkcs11 from 'pkcs11js';
import type { PKCS11 } from 'pkcs11js';
import { CountersignError, messageOf } from '../../lib/errors.ts';
import { explain, tokenCode, tokenUnavailable } from './failures.ts';

export interface TokenModule {
  readonly path: string;
  readonly api: PKCS11;
  /** Gives this use of the module back. */
  release(): void;
}

interface Loaded {
  readonly api: PKCS11;
  users: number;
  /** False when somebody else in this process initialized it, and finalizes it. */
  own: boolean;
}

/** Never unloaded: libraries leave threads and exit handlers behind that would run into the void. */
const loaded = new Map<string, Loaded>();

/** CKF_OS_LOCKING_OK: signatures are made on several threads. */
const OS_LOCKING_OK = 2;

/**
 * @param path Absolute path of the library.
 * @throws CountersignError `config-invalid` when `pkcs11js` is not installed or the library cannot be loaded,
 *   `signer-unavailable` when it does not start.
 */
export async function acquireModule(path: string): Promise<TokenModule> {
  const { PKCS11 } = await loadBinding();
  const module = loaded.get(path) ?? load(new PKCS11(), path);
  if (module.users === 0) initialize(module, path);
  module.users += 1;
  let released = false;
  return {
    path,
    api: module.api,
    release: () => {
      if (released) return;
      released = true;
      module.users -= 1;
      if (module.users === 0) finalize(module);
    },
  };
}

async function loadBinding(): Promise<typeof Pkcs11> {
  try {
    // CommonJS whose names Node cannot see from outside: all of them are in `default`.
    const binding = (await import('pkcs11js')) as unknown as { readonly default: typeof Pkcs11 };
    return binding.default;
  } catch (error) {
    throw new CountersignError(
      'config-invalid',
      'keys on tokens need the package pkcs11js, which could not be loaded: for a service install a C++ compiler and ' +
        'python3, then run "npm install" again; for a ceremony put its folder into node_modules beside the program ' +
        `(${messageOf(error).split('\n')[0] ?? ''})`,
      { cause: error },
    );
  }
}

function load(api: PKCS11, path: string): Loaded {
  try {
    api.load(path);
  } catch (error) {
    throw new CountersignError(
      'config-invalid',
      `PKCS#11 module ${path} cannot be loaded: ${explain(error)}`,
      {
        cause: error,
      },
    );
  }
  const module = { api, users: 0, own: true };
  loaded.set(path, module);
  return module;
}

function initialize(module: Loaded, path: string): void {
  try {
    module.api.C_Initialize({ flags: OS_LOCKING_OK });
    module.own = true;
  } catch (error) {
    module.own = false;
    if (tokenCode(error) === 'CKR_CRYPTOKI_ALREADY_INITIALIZED') return;
    throw tokenUnavailable(`PKCS#11 module ${path} does not start`, error);
  }
}

function finalize({ api, own }: Loaded): void {
  try {
    if (own) api.C_Finalize();
  } catch {
    // A module that does not end cleanly has nothing of ours left to lose.
  }
}
