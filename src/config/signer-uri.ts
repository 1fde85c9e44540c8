// The URIs of signers: file:, vault:, vault-kv:, pkcs11: and awskms:. Secrets are never in them, only the files in
// which they are.
import path from 'node:path';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { nearMatches } from '../lib/near-match.ts';
import { parseKeyUri } from '../lib/pkcs11-uri.ts';
import type { Given } from './settings.ts';

export interface VaultSetting {
  /** An origin. */
  readonly address: string;
  readonly namespace?: string;
  /** Absolute path of a PEM file. */
  readonly caFile?: string;
  readonly login:
    | { readonly method: 'token'; readonly tokenFile?: string }
    | {
        readonly method: 'approle';
        readonly mount: string;
        readonly roleId: string;
        readonly secretIdFile: string;
      }
    | {
        readonly method: 'kubernetes';
        readonly mount: string;
        readonly role: string;
        readonly jwtFile: string;
      };
}

export type KeyServiceSetting =
  | {
      readonly kind: 'vault';
      readonly mount: string;
      readonly key: string;
      /** Absent: the one that the repository trusts. */
      readonly version?: number;
      readonly vault: VaultSetting;
    }
  | {
      readonly kind: 'vault-kv';
      readonly mount: string;
      readonly path: string;
      readonly field: string;
      readonly engine: 1 | 2;
      readonly vault: VaultSetting;
    }
  /** `pinFile` is absolute; without it the PIN is the signer's passphrase. */
  | { readonly kind: 'pkcs11'; readonly uri: string; readonly pinFile?: string }
  | { readonly kind: 'awskms'; readonly key: string; readonly region?: string; readonly endpoint?: string };

type Refuse = (problem: string) => CountersignError;
type Parameters = ReadonlyMap<string, string>;

/** Where Kubernetes puts the token of a pod's service account. */
const POD_TOKEN = '/var/run/secrets/kubernetes.io/serviceaccount/token';

const VAULT_PARAMETERS = ['address', 'namespace', 'ca', 'auth'];
const LOGIN_PARAMETERS: Readonly<Record<string, readonly string[]>> = {
  token: ['token-file'],
  approle: ['auth-mount', 'role-id', 'secret-id-file'],
  kubernetes: ['auth-mount', 'role', 'jwt-file'],
};

const FORMS: Readonly<Record<KeyServiceSetting['kind'], string>> = {
  vault: 'vault:MOUNT/KEY?address=https://HOST:8200',
  'vault-kv': 'vault-kv:MOUNT/PATH?address=https://HOST:8200#FIELD',
  pkcs11: 'pkcs11:token=TOKEN;object=KEY?module-path=/PATH/LIBRARY.so&pin-source=file:PATH',
  awskms: 'awskms:alias/NAME?region=REGION',
};

/** One or more segments, none of which leads elsewhere. */
const VAULT_PATH = /^(?!\.)[\w.~@+-]+(?:\/(?!\.)[\w.~@+-]+)*$/;

/** The kinds of signers beside `file:`, for messages. */
export const KEY_SERVICE_FORMS = Object.values(FORMS);

/**
 * The signer that a URI of another kind than `file:` names; undefined for a kind that is not known here.
 * @throws CountersignError `config-invalid`.
 */
export function parseKeyService({ value, source }: Given, base: string): KeyServiceSetting | undefined {
  const text = String(value);
  const kind = /^([a-z][a-z0-9-]*):/i.exec(text)?.[1]?.toLowerCase();
  const form = FORMS[kind as KeyServiceSetting['kind']] as string | undefined;
  const refuse: Refuse = (problem) =>
    new CountersignError('config-invalid', `${source} ${problem}; the form is ${form ?? ''}`);
  const rest = text.slice((kind?.length ?? 0) + 1);
  switch (kind) {
    case 'vault':
      return vaultTransit(rest, base, refuse);
    case 'vault-kv':
      return vaultKv(rest, base, refuse);
    case 'pkcs11':
      return pkcs11(text, base, refuse);
    case 'awskms':
      return awsKms(rest, refuse);
    default:
      return undefined;
  }
}

/** Absolute paths of the files that a signer keeps secrets in: none may be where the public looks. */
export function secretFiles(setting: KeyServiceSetting): readonly (string | undefined)[] {
  if (setting.kind === 'pkcs11') return [setting.pinFile];
  if (setting.kind === 'awskms') return [];
  const { login } = setting.vault;
  if (login.method === 'token') return [login.tokenFile];
  return [login.method === 'approle' ? login.secretIdFile : login.jwtFile];
}

function vaultTransit(rest: string, base: string, refuse: Refuse): KeyServiceSetting {
  const match = /^([^?#]+)\/([^?#/]+)(?:\?([^#]*))?$/.exec(rest);
  if (match === null) throw refuse('does not name a mount and a key');
  const [, mount = '', key = '', query = ''] = match;
  const { setting: vault, parameters } = vaultSetting(query, ['version'], base, refuse);
  const version = parameters.get('version');
  if (version !== undefined && !/^[1-9]\d{0,8}$/.test(version)) {
    throw refuse(`has ${JSON.stringify(version)} as its version, expected a whole number from 1`);
  }
  return {
    kind: 'vault',
    ...names({ mount, key }, refuse),
    ...(version === undefined ? {} : { version: Number(version) }),
    vault,
  };
}

function vaultKv(rest: string, base: string, refuse: Refuse): KeyServiceSetting {
  const match = /^([^?#/]+)\/([^?#]+)(?:\?([^#]*))?#([^#]+)$/.exec(rest);
  if (match === null) throw refuse('does not name a mount, a path and a field');
  const [, mount = '', secretPath = '', query = '', field = ''] = match;
  const { setting: vault, parameters } = vaultSetting(query, ['kv'], base, refuse);
  const engine = parameters.get('kv') ?? '2';
  if (engine !== '1' && engine !== '2')
    throw refuse(`has ${JSON.stringify(engine)} as its kv, expected 1 or 2`);
  const named = names({ mount, path: secretPath, field }, refuse);
  return { kind: 'vault-kv', ...named, engine: engine === '1' ? 1 : 2, vault };
}

function names<T extends Record<string, string>>(given: T, refuse: Refuse): T {
  for (const [what, name] of Object.entries(given)) {
    if (!VAULT_PATH.test(name)) throw refuse(`has ${JSON.stringify(name)} as its ${what}`);
  }
  return given;
}

function vaultSetting(
  query: string,
  others: readonly string[],
  base: string,
  refuse: Refuse,
): { setting: VaultSetting; parameters: Parameters } {
  const logins = Object.values(LOGIN_PARAMETERS).flat();
  const parameters = readParameters(query, [...VAULT_PARAMETERS, ...others, ...new Set(logins)], refuse);
  const file = (name: string): string | undefined => {
    const given = parameters.get(name);
    return given === undefined ? undefined : path.resolve(base, given);
  };
  const required = (name: string): string => {
    const given = parameters.get(name);
    if (given === undefined || given === '') throw refuse(`has no ${name}=, which auth=${method} needs`);
    return given;
  };
  const method = parameters.get('auth') ?? 'token';
  const own = LOGIN_PARAMETERS[method];
  if (own === undefined) {
    throw refuse(
      `has ${JSON.stringify(method)} as its auth, expected one of ${Object.keys(LOGIN_PARAMETERS).join(', ')}`,
    );
  }
  const foreign = logins.find((name) => parameters.has(name) && !own.includes(name));
  if (foreign !== undefined) throw refuse(`has ${foreign}=, which does not go with auth=${method}`);
  const address = parameters.get('address');
  if (address === undefined) throw refuse('has no address=');
  const namespace = parameters.get('namespace');
  if (namespace !== undefined && !VAULT_PATH.test(namespace)) throw refuse('has a namespace that is none');
  const mount = parameters.get('auth-mount') ?? method;
  if (!VAULT_PATH.test(mount)) throw refuse('has an auth-mount that is none');
  const caFile = file('ca');
  const tokenFile = file('token-file');
  const login: VaultSetting['login'] =
    method === 'approle'
      ? {
          method,
          mount,
          roleId: required('role-id'),
          secretIdFile: path.resolve(base, required('secret-id-file')),
        }
      : method === 'kubernetes'
        ? { method, mount, role: required('role'), jwtFile: file('jwt-file') ?? POD_TOKEN }
        : { method: 'token', ...(tokenFile === undefined ? {} : { tokenFile }) };
  const setting = {
    address: origin(address, 'address', refuse),
    ...(namespace === undefined ? {} : { namespace }),
    ...(caFile === undefined ? {} : { caFile }),
    login,
  };
  return { setting, parameters };
}

function pkcs11(uri: string, base: string, refuse: Refuse): KeyServiceSetting {
  let pinSource: string | undefined;
  try {
    ({ pinSource } = parseKeyUri(uri));
  } catch (error) {
    throw refuse(`cannot be used: ${messageOf(error)}`);
  }
  if (pinSource === undefined) return { kind: 'pkcs11', uri };
  const file = /^file:(?:\/\/(?=\/))?(?!\/\/)(.+)$/.exec(pinSource)?.[1];
  if (file === undefined)
    throw refuse('has a pin-source that is no file:PATH; commands are not run for a PIN');
  return { kind: 'pkcs11', uri, pinFile: path.resolve(base, file) };
}

function awsKms(rest: string, refuse: Refuse): KeyServiceSetting {
  const match = /^([^?#]+)(?:\?([^#]*))?$/.exec(rest);
  const key = match?.[1] ?? '';
  if (
    !/^(?:alias\/[\w/-]{1,250}|[\w-]{1,64}|arn:[\w-]+:kms:[\w-]+:\d{12}:(?:key|alias)\/[\w/-]{1,250})$/.test(
      key,
    )
  ) {
    throw refuse(`has ${JSON.stringify(key)} as its key, expected alias/NAME, a key id or an ARN`);
  }
  const parameters = readParameters(match?.[2] ?? '', ['region', 'endpoint'], refuse);
  const region = parameters.get('region');
  if (region !== undefined && !/^[a-z0-9][a-z0-9-]{0,62}$/i.test(region)) {
    throw refuse(`has ${JSON.stringify(region)} as its region`);
  }
  const endpoint = parameters.get('endpoint');
  return {
    kind: 'awskms',
    key,
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint: origin(endpoint, 'endpoint', refuse) }),
  };
}

function readParameters(query: string, known: readonly string[], refuse: Refuse): Parameters {
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!known.includes(name)) {
      const near = nearMatches(name, known);
      const hint = near.length === 0 ? '' : `, did you mean ${near.join(' or ')}`;
      throw refuse(`has an unknown parameter ${JSON.stringify(name)}${hint}`);
    }
    if (given.has(name)) throw refuse(`has the parameter ${name} twice`);
    given.set(name, value);
  }
  return given;
}

/** https, or http to this computer: a token or a digest to sign is not sent in the clear. */
function origin(text: string, name: string, refuse: Refuse): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (url === undefined || !isWeb || url.href !== `${url.origin}/`) {
    throw refuse(`has an ${name} that is no plain origin such as https://vault.example.org:8200`);
  }
  if (url.protocol === 'http:' && !/^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(url.hostname)) {
    throw refuse(`has an ${name} with http:, which only this computer may be asked by: use https:`);
  }
  return url.origin;
}
