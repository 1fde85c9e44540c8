// postgres://USER@HOST:PORT/DATABASE?…: read strictly, and never shown when it does not fit: a password may be in it.
import path from 'node:path';
import { CountersignError } from '../lib/errors.ts';
import { nearMatches } from '../lib/near-match.ts';
import type { Given } from './settings.ts';

export interface PostgresSetting {
  readonly kind: 'postgres';
  readonly user: string;
  /** A name, an address without brackets, or the absolute path of the directory of a Unix socket. */
  readonly host: string;
  readonly port: number;
  readonly database: string;
  readonly tls: 'disable' | 'verify-full';
  /** Absolute. */
  readonly rootCertificate?: string;
  readonly listen?: { readonly host: string; readonly port: number } | 'none';
}

const PARAMETERS = ['host', 'port', 'sslmode', 'sslrootcert', 'listen'];
const FORM = 'postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full&sslrootcert=FILE&listen=HOST:PORT';
const PORT = 5432;

/** @throws CountersignError `config-invalid`. */
export function parsePostgres({ value, source }: Given, base: string): PostgresSetting {
  const refuse = (problem: string): CountersignError =>
    new CountersignError('config-invalid', `${source} ${problem}; the form is ${FORM}`);
  const [, authority = '', database = '', query = ''] =
    /^postgres(?:ql)?:\/\/([^/?#]*)\/([^/?#]*)(?:\?([^#]*))?$/.exec(String(value)) ?? [];
  const at = authority.lastIndexOf('@');
  const user = authority.slice(0, Math.max(0, at));
  const given = parameters(query, refuse);
  if (user.includes(':') || given.has('password') || /^[^?@]*:[^?]*@/.test(String(value).slice(11))) {
    throw new CountersignError(
      'config-invalid',
      `${source} has a password, which would end up in logs: remove it, and set ledger-password to a private file, or COUNTERSIGN_LEDGER_PASSWORD, PGPASSWORD or PGPASSFILE`,
    );
  }
  if (user === '' || database === '') throw refuse('has no user or no database');
  const unknown = [...given.keys()].find((name) => !PARAMETERS.includes(name));
  if (unknown !== undefined) {
    const near = nearMatches(unknown, PARAMETERS);
    const hint = near.length === 0 ? '' : `, did you mean ${near.join(' or ')}`;
    throw refuse(`has an unknown parameter ${JSON.stringify(unknown)}${hint}`);
  }
  const server = serverOf(authority.slice(at + 1), given, refuse);
  const root = given.get('sslrootcert');
  const tls = tlsOf(given.get('sslmode'), server.host, root !== undefined, refuse);
  const listen = given.get('listen');
  return {
    kind: 'postgres',
    user: decoded(user, refuse),
    ...server,
    database: decoded(database, refuse),
    tls,
    ...(root === undefined ? {} : { rootCertificate: path.resolve(base, root) }),
    ...(listen === undefined ? {} : { listen: listen === 'none' ? listen : hostAndPort(listen, refuse) }),
  };
}

type Refuse = (problem: string) => CountersignError;

function parameters(query: string, refuse: Refuse): Map<string, string> {
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (given.has(name)) throw refuse(`has the parameter ${name} twice`);
    if (value === '') throw refuse(`has the parameter ${name} without a value`);
    given.set(name, value);
  }
  return given;
}

/** Before the path, or a socket's directory as ?host= with its port as ?port=. */
function serverOf(
  authority: string,
  given: ReadonlyMap<string, string>,
  refuse: Refuse,
): { host: string; port: number } {
  const socket = given.get('host');
  if (socket === undefined && !given.has('port')) return hostAndPort(authority, refuse);
  if (authority !== '' || socket?.startsWith('/') !== true) {
    throw refuse('has host or port as a parameter, which is for the directory of a Unix socket only');
  }
  return { host: socket, port: portOf(given.get('port') ?? String(PORT), refuse) };
}

function hostAndPort(text: string, refuse: Refuse): { host: string; port: number } {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::(\d+))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined)
    throw refuse('names no single host: for several servers give the name that leads to the primary');
  return { host, port: portOf(match?.[3] ?? String(PORT), refuse) };
}

function portOf(text: string, refuse: Refuse): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535) throw refuse('has a port that is none');
  return port;
}

/**
 * Between computers the server proves who it is, or the connection is open and was asked to be: modes that encrypt
 * without that (require, prefer, verify-ca) protect from nobody who could also answer.
 */
function tlsOf(
  mode: string | undefined,
  host: string,
  hasRoot: boolean,
  refuse: Refuse,
): PostgresSetting['tls'] {
  const local = host.startsWith('/') || host === 'localhost' || host === '::1' || host.startsWith('127.');
  const chosen = mode ?? (local && !hasRoot ? 'disable' : 'verify-full');
  if (chosen !== 'disable' && chosen !== 'verify-full') {
    throw refuse(`has ${JSON.stringify(chosen)} as its sslmode, expected verify-full or disable`);
  }
  if (chosen === 'disable' && hasRoot)
    throw refuse('has sslrootcert, and sslmode=disable, which does not use it');
  return chosen;
}

function decoded(text: string, refuse: Refuse): string {
  try {
    const name = decodeURIComponent(text);
    if (!name.includes('\0')) return name;
  } catch {
    // The same as a name that cannot be one.
  }
  throw refuse('has a user or a database that is not a name');
}
