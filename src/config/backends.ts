// The URIs that say where things are: what this version can open, and a clear refusal for everything else.
import path from 'node:path';
import { CountersignError } from '../lib/errors.ts';
import { parsePostgres, type PostgresSetting } from './postgres-uri.ts';
import { parseS3, type S3Setting } from './s3-uri.ts';
import { KEY_SERVICE_FORMS, parseKeyService, type KeyServiceSetting } from './signer-uri.ts';
import type { Given } from './settings.ts';

export type StoreSetting =
  /** `directory` is absolute. */
  { readonly kind: 'file'; readonly directory: string } | S3Setting;

export type LedgerSetting =
  /** `path` is absolute. */
  { readonly kind: 'sqlite'; readonly path: string } | PostgresSetting;

export type SignerSetting =
  /** `path` is absolute. */
  { readonly kind: 'file'; readonly path: string } | KeyServiceSetting;

export type TargetsSetting =
  | { readonly kind: 'file'; readonly directory: string }
  /** `base` ends with a slash. */
  | { readonly kind: 'redirect'; readonly base: string }
  | { readonly kind: 'none' };

export interface ListenSetting {
  /** A name or an address, without brackets. */
  readonly host: string;
  /** 0 lets the system choose a free one. */
  readonly port: number;
}

/** @throws CountersignError `config-invalid`. */
export function parseStore(given: Given, base: string): StoreSetting {
  if (String(given.value).startsWith('s3:')) return parseS3(given);
  return { kind: 'file', directory: pathAfter('file', given, base, ' and s3://BUCKET/PREFIX') };
}

/** @throws CountersignError `config-invalid`. */
export function parseLedger(given: Given, base: string): LedgerSetting {
  if (/^postgres(ql)?:/.test(String(given.value))) return parsePostgres(given, base);
  return { kind: 'sqlite', path: pathAfter('sqlite', given, base, ' and postgres://USER@HOST/DATABASE') };
}

/** @throws CountersignError `config-invalid`. */
export function parseSigner(given: Given, base: string): SignerSetting {
  return (
    parseKeyService(given, base) ?? {
      kind: 'file',
      path: pathAfter('file', given, base, `, ${KEY_SERVICE_FORMS.join(', ')}`),
    }
  );
}

/** @throws CountersignError `config-invalid`. */
export function parseTargets(given: Given, base: string): TargetsSetting {
  const text = String(given.value);
  if (text === 'none') return { kind: 'none' };
  if (/^https?:/i.test(text)) return { kind: 'redirect', base: redirectBase(text, given.source) };
  return { kind: 'file', directory: pathAfter('file', given, base, ' or an https:// address or none') };
}

function redirectBase(text: string, source: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const extras = url === undefined ? text : url.username + url.password + url.search + url.hash;
  if (url === undefined || extras !== '') {
    throw invalid(`${source} is not a plain address: no user, query or fragment is allowed there`);
  }
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

/** @throws CountersignError `config-invalid`. */
export function parseListen(given: Given): ListenSetting {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.-]+)):(\d{1,5})$/.exec(String(given.value));
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65_535) {
    throw invalid(
      `${given.source} is ${JSON.stringify(given.value)}, expected HOST:PORT such as 127.0.0.1:8458 or [::1]:8458`,
    );
  }
  return { host, port };
}

/** True when only programs on this computer can connect to `host`. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

/** A path setting against the directory of the configuration file. */
export function resolvePath(given: Given, base: string): string {
  const text = String(given.value);
  if (text === '' || text.includes('\0')) throw invalid(`${given.source} is not a path`);
  return path.resolve(base, text);
}

function pathAfter(kind: string, given: Given, base: string, more = ''): string {
  const text = String(given.value);
  const match = /^([a-z][a-z0-9+.]*):(.*)$/s.exec(text);
  const known = `this version knows ${kind}:PATH${more}`;
  if (match === null)
    throw invalid(`${given.source} is ${JSON.stringify(text)}, which names no kind; ${known}`);
  if (match[1] !== kind) throw invalid(`${given.source} has the kind "${match[1] ?? ''}:"; ${known}`);
  const rest = match[2] ?? '';
  // file:///a and file:/a are the same path; file://a/b would be another computer's.
  if (rest.startsWith('//') && !rest.startsWith('///')) {
    throw invalid(`${given.source} names a host; write ${kind}:./PATH or ${kind}:/PATH`);
  }
  return resolvePath({ value: rest.replace(/^\/\//, ''), source: given.source }, base);
}

function invalid(message: string): CountersignError {
  return new CountersignError('config-invalid', message);
}
