// PKCS#11 URIs (RFC 7512), read strictly: an attribute that is misread selects another key, or sends the PIN to
// another token.
import { CountersignError } from './errors.ts';
import { nearMatches } from './near-match.ts';

/** The attributes as they were given, percent-decoded; a name that is absent selects everything. */
export interface Pkcs11Uri {
  readonly token?: string;
  readonly manufacturer?: string;
  readonly serial?: string;
  readonly model?: string;
  readonly object?: string;
  readonly type?: string;
  /** CKA_ID: any bytes. */
  readonly id?: Buffer;
  readonly slotId?: number;
  readonly slotDescription?: string;
  readonly slotManufacturer?: string;
  readonly libraryManufacturer?: string;
  readonly libraryDescription?: string;
  readonly libraryVersion?: string;
  /** RFC 7512 2.4: "file:" and a path, or "|" and a command. */
  readonly pinSource?: string;
  readonly pinValue?: string;
  readonly moduleName?: string;
  readonly modulePath?: string;
  /** Names of the attributes that are not the RFC's, `path` and `query` ones alike. */
  readonly vendor: readonly string[];
}

type Name = Exclude<keyof Pkcs11Uri, 'vendor'>;

const PATH_ATTRIBUTES: ReadonlyMap<string, Name> = new Map([
  ['token', 'token'],
  ['manufacturer', 'manufacturer'],
  ['serial', 'serial'],
  ['model', 'model'],
  ['object', 'object'],
  ['type', 'type'],
  ['id', 'id'],
  ['slot-id', 'slotId'],
  ['slot-description', 'slotDescription'],
  ['slot-manufacturer', 'slotManufacturer'],
  ['library-manufacturer', 'libraryManufacturer'],
  ['library-description', 'libraryDescription'],
  ['library-version', 'libraryVersion'],
]);

const QUERY_ATTRIBUTES: ReadonlyMap<string, Name> = new Map([
  ['pin-source', 'pinSource'],
  ['pin-value', 'pinValue'],
  ['module-name', 'moduleName'],
  ['module-path', 'modulePath'],
]);

/** RFC 7512 2.3: pk11-path-char, and pk11-query-char, which leaves "&" to the separator. */
const PATH_VALUE = /^(?:[\w.~:[\]@!$'()*+,=&-]|%[0-9A-Fa-f]{2})*$/;
const QUERY_VALUE = /^(?:[\w.~:[\]@!$'()*+,=/?|-]|%[0-9A-Fa-f]{2})*$/;

const TYPES = ['public', 'private', 'cert', 'secret-key', 'data'];

/** Characters; no real URI comes near it. */
const MAX_URI_LENGTH = 4096;

/**
 * Parses any PKCS#11 URI of the RFC.
 * @throws CountersignError `config-invalid` that names the attribute, never the value of `pin-value`.
 */
export function parsePkcs11Uri(text: string): Pkcs11Uri {
  if (text.length > MAX_URI_LENGTH) throw invalid(`has ${text.length} characters, at most ${MAX_URI_LENGTH}`);
  // RFC 3986 3.1: schemes are compared without regard to case.
  if (!/^pkcs11:/i.test(text)) throw invalid('does not begin with "pkcs11:"');
  const body = text.slice('pkcs11:'.length);
  const mark = body.indexOf('?');
  const found = new Map<Name, string | number | Buffer>();
  const vendor: string[] = [];
  const path = mark < 0 ? body : body.slice(0, mark);
  if (path !== '') take(path.split(';'), 'path', PATH_ATTRIBUTES, PATH_VALUE, found, vendor);
  if (mark >= 0) {
    take(body.slice(mark + 1).split('&'), 'query', QUERY_ATTRIBUTES, QUERY_VALUE, found, vendor);
  }
  // RFC 7512 2.3: a module is named by one of the two.
  if (found.has('moduleName') && found.has('modulePath')) {
    throw invalid('has both module-name and module-path');
  }
  return { ...(Object.fromEntries(found) as Omit<Pkcs11Uri, 'vendor'>), vendor };
}

function take(
  attributes: readonly string[],
  part: 'path' | 'query',
  known: ReadonlyMap<string, Name>,
  form: RegExp,
  found: Map<Name, string | number | Buffer>,
  vendor: string[],
): void {
  for (const attribute of attributes) {
    const equals = attribute.indexOf('=');
    const name = attribute.slice(0, equals);
    if (equals < 1 || !/^[\w-]+$/.test(name)) {
      throw invalid(`has a ${part} attribute that is not of the form NAME=VALUE`);
    }
    const raw = attribute.slice(equals + 1);
    if (!form.test(raw)) {
      throw invalid(
        `has ${name} with a character that must be written as %XX, or a "%" without two hex digits`,
      );
    }
    const property = known.get(name);
    if (property === undefined) {
      const other = part === 'path' ? QUERY_ATTRIBUTES : PATH_ATTRIBUTES;
      if (other.has(name)) {
        throw invalid(
          `has ${name} ${part === 'path' ? 'before' : 'after'} the "?", it belongs on the other side`,
        );
      }
      vendor.push(name);
    } else if (found.has(property)) {
      // RFC 7512 2.3: "A PKCS #11 URI MUST NOT contain duplicate attributes of the same name in the URI path".
      throw invalid(`has ${name} twice`);
    } else found.set(property, decode(name, raw));
  }
}

function decode(name: string, raw: string): string | number | Buffer {
  const bytes = Buffer.from(
    raw.replaceAll(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(parseInt(hex, 16))),
    'latin1',
  );
  // The id is binary; everything else is text in UTF-8.
  if (name === 'id') return bytes;
  const text = bytes.toString('utf8');
  if (!Buffer.from(text, 'utf8').equals(bytes)) throw invalid(`has ${name} with bytes that are not UTF-8`);
  if (name === 'slot-id') {
    if (!/^\d{1,10}$/.test(text)) throw invalid(`has slot-id ${JSON.stringify(text)}, expected digits`);
    return Number(text);
  }
  if (name === 'library-version' && !/^\d+(\.\d+)?$/.test(text)) {
    throw invalid(`has library-version ${JSON.stringify(text)}, expected digits such as 1.23`);
  }
  if (name === 'type' && !TYPES.includes(text)) {
    throw invalid(`has type ${JSON.stringify(text)}, expected one of ${TYPES.join(', ')}`);
  }
  return text;
}

/** What names one private key, and where to find it. */
export interface KeyUri extends Pkcs11Uri {
  /** Absolute. */
  readonly modulePath: string;
}

/**
 * A URI that names a key by its token (`token` or `serial`) and `object` or `id`, in the module at `module-path`.
 * @throws CountersignError `config-invalid` when it says less than that, or something that is not understood here:
 *   an attribute that is ignored could have excluded the key that is taken.
 */
export function parseKeyUri(text: string): KeyUri {
  const uri = parsePkcs11Uri(text);
  const [unknown] = uri.vendor;
  if (unknown !== undefined) {
    const near = nearMatches(unknown, [...PATH_ATTRIBUTES.keys(), ...QUERY_ATTRIBUTES.keys()]);
    const hint = near.length === 0 ? '' : `, did you mean ${near.join(' or ')}`;
    throw invalid(`has an attribute ${JSON.stringify(unknown)} that is not of RFC 7512${hint}`);
  }
  if (uri.pinValue !== undefined) {
    throw invalid('has pin-value, which would put the PIN where the URI is kept: use pin-source=file:PATH');
  }
  if (uri.moduleName !== undefined)
    throw invalid('has module-name, which systems read differently: use module-path');
  const unused = [...PATH_ATTRIBUTES].find(
    ([, name]) => /^(slot|library)/.test(name) && uri[name] !== undefined,
  );
  if (unused !== undefined) {
    throw invalid(
      `has ${unused[0]}, which changes with the computer: name the key by token, serial, object and id`,
    );
  }
  if (uri.type !== undefined && uri.type !== 'private') {
    throw invalid(`has type ${JSON.stringify(uri.type)}, but only a private key signs`);
  }
  const { modulePath } = uri;
  if (modulePath?.startsWith('/') !== true) {
    throw invalid('has no module-path=/ABSOLUTE/PATH, the library of the token');
  }
  if (uri.token === undefined && uri.serial === undefined) throw invalid('has neither token nor serial');
  if (uri.object === undefined && uri.id === undefined) throw invalid('has neither object nor id');
  return { ...uri, modulePath };
}

function invalid(problem: string): CountersignError {
  return new CountersignError('config-invalid', `the PKCS#11 URI ${problem}`);
}
