// The configuration: one documented type. docs/configuration.md and the file that `countersign init` writes are
// generated from the descriptions here. Unknown keys, unknown COUNTERSIGN_ variables and values that do not fit are
// errors: a setting that is silently ignored is worse than a service that does not start.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { Type } from 'typebox';
import * as backends from './config/backends.ts';
import { DEFAULT_CONFIG_FILE } from './config/default-file.ts';
import * as guards from './config/guards.ts';
import { KEY_SERVICE_FORMS } from './config/signer-uri.ts';
import { valuesFromEnvironment, valuesFromFile, listSettings, type Given } from './config/settings.ts';
import { MAX_CONFIG_BYTES, parseStrictYaml, type YamlMap } from './lib/strict-yaml.ts';
import { parseDuration } from './lib/duration.ts';
import { CountersignError, messageOf } from './lib/errors.ts';
import { LOG_LEVELS, type LogLevel } from './lib/log.ts';
import {
  LEDGER_PASSWORD_VARIABLE,
  NEXT_PASSPHRASE_VARIABLE,
  PASSPHRASE_VARIABLE,
  Secrets,
  TOKEN_VARIABLE,
  VAULT_TOKEN_VARIABLE,
  type SecretSource,
} from './secrets.ts';

/** What a configuration file may hold. Durations are a whole number with a unit: ms, s, m, h or d. */
export const ConfigSchema = Type.Object({
  store: Type.String({
    description:
      'Where the public repository is kept: file:DIRECTORY, or s3://BUCKET/PREFIX, which takes ?region=, &endpoint= (an http or https origin) and &path-style=true. Credentials come from the standard chain of the AWS SDK, never from here.',
    default: 'file:./repository',
  }),
  ledger: Type.String({
    description:
      'Where accepted events and publications are recorded, the only private state: sqlite:FILE for one computer, or postgres://USER@HOST:PORT/DATABASE for several, which takes ?sslmode= (verify-full, or disable), &sslrootcert=FILE and, behind a pooler, &listen=HOST:PORT of the server itself. A password is never part of it.',
    default: 'sqlite:./ledger.db',
  }),
  'ledger-password': Type.String({
    description: `A file with the password of a PostgreSQL ledger, readable by its owner only (mode 0600). The password itself may be in ${LEDGER_PASSWORD_VARIABLE} instead; without either PGPASSWORD and PGPASSFILE are used.`,
    examples: ['./ledger.password'],
    env: `${LEDGER_PASSWORD_VARIABLE}_FILE`,
  }),
  signer: Type.String({
    description: `The online key, which signs timestamp, snapshot and every bin: file:FILE, ${KEY_SERVICE_FORMS.join(', ')}; docs/operations.md, "Signers", has all parameters. No secret is part of it.`,
    default: 'file:./online.key',
  }),
  'signer-passphrase': Type.String({
    description: `A file with the passphrase of the online key, readable by its owner only (mode 0600). The passphrase itself may be in ${PASSPHRASE_VARIABLE} instead.`,
    examples: ['./online.passphrase'],
    env: `${PASSPHRASE_VARIABLE}_FILE`,
  }),
  'next-signer': Type.String({
    description:
      'A second online key, while it replaces the first: every file is signed by both, as far as the trusted metadata names them.',
    examples: ['file:./next.key'],
  }),
  'next-signer-passphrase': Type.String({
    description: `A file with the passphrase of next-signer, as signer-passphrase is one. The passphrase itself may be in ${NEXT_PASSPHRASE_VARIABLE} instead.`,
    examples: ['./next.passphrase'],
    env: `${NEXT_PASSPHRASE_VARIABLE}_FILE`,
  }),
  targets: Type.String({
    description:
      'Where the read side finds target files: file:DIRECTORY, an http:// or https:// address to redirect to, or none.',
    default: 'file:./files',
  }),
  'simple-index': Type.String({
    description:
      'Whether publications render simple index pages (PEP 503, PEP 691) from the files and publish them as target files below simple/: off or render.',
    default: 'off',
    enum: ['off', 'render'],
  }),
  listen: Type.String({
    description:
      'HOST:PORT on which the service answers; an IPv6 address in brackets; port 0 takes a free one. Without auth.tokens only a loopback host is allowed.',
    default: '127.0.0.1:8458',
  }),
  tls: Type.Object({
    certificate: Type.String({
      description: 'A PEM file with the certificate chain. Without tls the service speaks plain HTTP.',
      examples: ['./tls.crt'],
    }),
    key: Type.String({
      description: 'A PEM file with the private key of the certificate.',
      examples: ['./tls.key'],
    }),
  }),
  auth: Type.Object({
    tokens: Type.String({
      description: 'A file with the tokens that may send events and what each may do.',
      examples: ['./tokens.yaml'],
    }),
  }),
  publish: Type.Object({
    'max-events': Type.Integer({
      description: 'The most events that one snapshot takes.',
      default: 10_000,
      minimum: 1,
      maximum: 1_000_000,
    }),
    'min-interval-ms': Type.Integer({
      description:
        'The least time between two snapshots, in milliseconds. A longer one collects more events in each.',
      default: 0,
      minimum: 0,
      maximum: 86_400_000,
    }),
  }),
  lifetimes: Type.Object({
    timestamp: Type.String({
      description: 'How long after its signing timestamp.json expires, a duration of at least 1m.',
      default: '1d',
    }),
    snapshot: Type.String({
      description: 'How long after its signing a snapshot expires, a duration of at least 1m.',
      default: '1d',
    }),
    bin: Type.String({
      description: 'How long after its signing a bin expires, a duration of at least 10m.',
      default: '1d',
    }),
  }),
  retention: Type.Object({
    snapshots: Type.String({
      description:
        'How long after it was replaced a snapshot can still be read, with its bins, a duration of at least 1m. A client that is half-way through a download needs it.',
      default: '24h',
    }),
    events: Type.String({
      description:
        'How long settled events and change records are kept, a duration no shorter than retention.snapshots; older ones are forgotten by "countersign gc".',
      default: '400d',
    }),
  }),
  limits: Type.Object({
    'request-bytes': Type.Integer({
      description: 'The largest request body that is read, in bytes.',
      default: 8_388_608,
      minimum: 1024,
      maximum: 1_073_741_824,
    }),
    'backlog-events': Type.Integer({
      description: 'Accepted events that may wait for publication; above it requests are answered with 503.',
      default: 1_000_000,
      minimum: 1,
      maximum: 100_000_000,
    }),
    'drain-ms': Type.Integer({
      description:
        'How long the service goes on answering after it was asked to stop, while /readyz says 503, in milliseconds: longer than a balancer needs to notice.',
      default: 0,
      minimum: 0,
      maximum: 300_000,
    }),
  }),
  'log-level': Type.String({
    description: `The least severe log lines that are written: ${LOG_LEVELS.join(', ')}.`,
    default: 'info',
    enum: [...LOG_LEVELS],
  }),
});

/** The configuration as the program uses it: URIs parsed, paths absolute, durations in milliseconds. */
export interface Config {
  readonly store: backends.StoreSetting;
  readonly ledger: backends.LedgerSetting;
  readonly signer: backends.SignerSetting;
  readonly nextSigner?: backends.SignerSetting;
  readonly targets: backends.TargetsSetting;
  readonly simpleIndex: 'off' | 'render';
  readonly listen: backends.ListenSetting;
  readonly tls?: { readonly certificate: string; readonly key: string };
  readonly auth?: { readonly tokens: string };
  readonly publish: { readonly maxEvents: number; readonly minIntervalMs: number };
  readonly lifetimes: { readonly timestampMs: number; readonly snapshotMs: number; readonly binMs: number };
  readonly retention: { readonly snapshotsMs: number; readonly eventsMs: number };
  readonly limits: {
    readonly requestBytes: number;
    readonly backlogEvents: number;
    readonly drainMs: number;
  };
  readonly logLevel: LogLevel;
}

export interface ConfigSource {
  /** The file that was asked for; without it `countersign.yaml` in `cwd` is read if it exists. */
  readonly file?: string;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface LoadedConfig {
  readonly config: Config;
  readonly secrets: Secrets;
}

/**
 * Reads the configuration: defaults, then the file, then the environment. No secret is read yet.
 * @throws CountersignError `config-invalid` that names the file or variable, the key and what was expected.
 */
export async function loadConfig(source: ConfigSource): Promise<LoadedConfig> {
  const file = path.resolve(source.cwd, source.file ?? DEFAULT_CONFIG_FILE);
  const text = await readConfigFile(file, source.file !== undefined);
  return parseConfig({
    file,
    ...(text === undefined ? {} : { text }),
    base: path.dirname(file),
    env: source.env,
  });
}

/** The same without reading a file: `text` is its content, `base` what its relative paths resolve against. */
export function parseConfig(source: {
  readonly file: string;
  readonly text?: string;
  readonly base: string;
  readonly env: ConfigSource['env'];
}): LoadedConfig {
  const fromFile = inFile(source.file, () => {
    const document: YamlMap = source.text === undefined ? new Map() : parseStrictYaml(source.text);
    return valuesFromFile(ConfigSchema, document);
  });
  const fromEnvironment = valuesFromEnvironment(ConfigSchema, source.env, [
    PASSPHRASE_VARIABLE,
    NEXT_PASSPHRASE_VARIABLE,
    LEDGER_PASSWORD_VARIABLE,
    TOKEN_VARIABLE,
  ]);
  const values = new Map<string, Given>();
  for (const { key, schema } of listSettings(ConfigSchema)) {
    const given = fromEnvironment.get(key) ?? fromFile.get(key);
    if (given !== undefined) values.set(key, given);
    else if (schema.default !== undefined) values.set(key, { value: schema.default, source: key });
  }
  const config = inFile(source.file, () => interpret(values, source.base));
  return { config, secrets: secretsOf(values, source) };
}

function interpret(values: ReadonlyMap<string, Given>, base: string): Config {
  const given = (key: string): Given => values.get(key) ?? { value: '', source: key };
  const number = (key: string): number => Number(given(key).value);
  const duration = (key: string): number => guards.duration(key, given(key), parseDuration);
  const optionalPath = (key: string): string | undefined => {
    const value = values.get(key);
    return value === undefined ? undefined : backends.resolvePath(value, base);
  };
  const tokens = optionalPath('auth.tokens');
  const tls = guards.pair(
    'tls.certificate',
    optionalPath('tls.certificate'),
    'tls.key',
    optionalPath('tls.key'),
  );
  const config: Config = {
    store: backends.parseStore(given('store'), base),
    ledger: backends.parseLedger(given('ledger'), base),
    signer: backends.parseSigner(given('signer'), base),
    ...(values.has('next-signer') ? { nextSigner: backends.parseSigner(given('next-signer'), base) } : {}),
    targets: backends.parseTargets(given('targets'), base),
    simpleIndex: given('simple-index').value === 'render' ? 'render' : 'off',
    listen: backends.parseListen(given('listen')),
    ...(tls === undefined ? {} : { tls: { certificate: tls[0], key: tls[1] } }),
    ...(tokens === undefined ? {} : { auth: { tokens } }),
    publish: { maxEvents: number('publish.max-events'), minIntervalMs: number('publish.min-interval-ms') },
    lifetimes: {
      timestampMs: duration('lifetimes.timestamp'),
      snapshotMs: duration('lifetimes.snapshot'),
      binMs: duration('lifetimes.bin'),
    },
    retention: { snapshotsMs: duration('retention.snapshots'), eventsMs: duration('retention.events') },
    limits: {
      requestBytes: number('limits.request-bytes'),
      backlogEvents: number('limits.backlog-events'),
      drainMs: number('limits.drain-ms'),
    },
    logLevel: String(given('log-level').value) as LogLevel,
  };
  guards.checkTogether(config, {
    'signer-passphrase': optionalPath('signer-passphrase'),
    'next-signer-passphrase': optionalPath('next-signer-passphrase'),
    'ledger-password': optionalPath('ledger-password'),
  });
  return config;
}

function secretsOf(
  values: ReadonlyMap<string, Given>,
  source: { readonly base: string; readonly env: ConfigSource['env'] },
): Secrets {
  const passphrase = (key: string, variable: string): SecretSource => {
    const file = values.get(key);
    const given = source.env[variable];
    if (given !== undefined && file?.source.startsWith(variable) === true) {
      throw new CountersignError(
        'config-invalid',
        `${variable} and ${file.source} are both set; keep one of them`,
      );
    }
    return {
      ...(file === undefined ? {} : { file: backends.resolvePath(file, source.base) }),
      ...(given === undefined || given === '' ? {} : { value: given }),
    };
  };
  const token = source.env[TOKEN_VARIABLE];
  const vaultToken = source.env[VAULT_TOKEN_VARIABLE];
  return new Secrets({
    passphrase: passphrase('signer-passphrase', PASSPHRASE_VARIABLE),
    nextPassphrase: passphrase('next-signer-passphrase', NEXT_PASSPHRASE_VARIABLE),
    ledgerPassword: passphrase('ledger-password', LEDGER_PASSWORD_VARIABLE),
    ...(token === undefined || token === '' ? {} : { token }),
    ...(vaultToken === undefined || vaultToken === '' ? {} : { vaultToken }),
  });
}

async function readConfigFile(file: string, required: boolean): Promise<string | undefined> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    if (!required && (error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new CountersignError('config-invalid', `cannot read ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (bytes.length > MAX_CONFIG_BYTES) {
    throw new CountersignError(
      'config-invalid',
      `${file} has ${bytes.length} bytes, at most ${MAX_CONFIG_BYTES} are read`,
    );
  }
  return bytes.toString('utf8');
}

/** Puts the name of the file in front of what is wrong in it. */
function inFile<T>(file: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof CountersignError) || error.message.startsWith('COUNTERSIGN_')) throw error;
    throw new CountersignError(error.code, `${file}: ${error.message}`, { cause: error });
  }
}
