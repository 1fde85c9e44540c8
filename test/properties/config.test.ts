// The configuration parser: what it makes of good values, what it says about bad ones, and that no input whatever
// makes it fail in another way than with `config-invalid`.
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { inspect } from 'node:util';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ConfigSchema, loadConfig, parseConfig } from '../../src/config.ts';
import { expectation, listSettings } from '../../src/config/settings.ts';
import { MAX_CONFIG_BYTES } from '../../src/lib/strict-yaml.ts';
import { ERRORS, hasCode, messageOf } from '../../src/lib/errors.ts';
import { readSecretFile, Secrets } from '../../src/secrets.ts';

const runs = process.env['SLOW'] === '1' ? 20_000 : 500;
const base = '/srv/index';

function parse(text?: string, env: Record<string, string> = {}) {
  return parseConfig({
    file: `${base}/countersign.yaml`,
    base,
    env,
    ...(text === undefined ? {} : { text }),
  });
}

/** The message of the `config-invalid` error that `run` must throw. */
function problem(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (hasCode(error, 'config-invalid')) return error.message;
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('values', () => {
  test('without a file every default holds, with paths beside the file', () => {
    expect(parse().config).toEqual({
      store: { kind: 'file', directory: '/srv/index/repository' },
      ledger: { kind: 'sqlite', path: '/srv/index/ledger.db' },
      signer: { kind: 'file', path: '/srv/index/online.key' },
      targets: { kind: 'file', directory: '/srv/index/files' },
      simpleIndex: 'off',
      listen: { host: '127.0.0.1', port: 8458 },
      publish: { maxEvents: 10_000, minIntervalMs: 0 },
      lifetimes: { timestampMs: 86_400_000, snapshotMs: 86_400_000, binMs: 86_400_000 },
      retention: { snapshotsMs: 86_400_000, eventsMs: 400 * 86_400_000 },
      limits: { requestBytes: 8_388_608, backlogEvents: 1_000_000, drainMs: 0 },
      logLevel: 'info',
    });
  });

  test('the file overrides defaults, the environment overrides the file', () => {
    const text = 'publish: { max-events: 7, min-interval-ms: 50 }\nlisten: "[::1]:0"\ntargets: none\nauth:\n';
    const { config } = parse(text, { COUNTERSIGN_PUBLISH_MAX_EVENTS: '8', COUNTERSIGN_LOG_LEVEL: 'debug' });
    expect(config.publish).toEqual({ maxEvents: 8, minIntervalMs: 50 });
    expect(config.listen).toEqual({ host: '::1', port: 0 });
    expect(config.targets).toEqual({ kind: 'none' });
    expect(config.logLevel).toBe('debug');
    expect(config.auth).toBeUndefined();
  });

  test('an address for target files is a redirect that ends with a slash', () => {
    expect(parse('targets: https://files.example/x').config.targets).toEqual({
      kind: 'redirect',
      base: 'https://files.example/x/',
    });
  });

  test('file:///a, file:/a and file:a', () => {
    const directory = (uri: string) => {
      const { store } = parse(`store: ${uri}`).config;
      return store.kind === 'file' ? store.directory : undefined;
    };
    expect(directory('file:///var/r')).toBe('/var/r');
    expect(directory('file:/var/r')).toBe('/var/r');
    expect(directory('file:r')).toBe('/srv/index/r');
  });

  test('an S3 store with and without parameters', () => {
    const store = (uri: string) => parse(`store: ${uri}`).config.store;
    expect(store('s3://pkg.example/')).toEqual({
      kind: 's3',
      bucket: 'pkg.example',
      prefix: '',
      pathStyle: false,
    });
    expect(
      store('s3://bucket/a/b+c/?region=eu-west-1&endpoint=http://127.0.0.1:9000&path-style=true'),
    ).toEqual({
      kind: 's3',
      bucket: 'bucket',
      prefix: 'a/b+c',
      region: 'eu-west-1',
      endpoint: 'http://127.0.0.1:9000',
      pathStyle: true,
    });
  });

  test('every default satisfies its own schema and every setting is documented', () => {
    for (const { key, schema } of listSettings(ConfigSchema)) {
      expect(schema.description.length, key).toBeGreaterThan(20);
      expect(expectation(schema), key).not.toBe('text');
      if (schema.default === undefined) continue;
      const env = listSettings(ConfigSchema).find((setting) => setting.key === key)!.env;
      expect(parse(undefined, { [env]: String(schema.default) }).config).toEqual(parse().config);
    }
  });
});

describe('refusals name the key and the way out', () => {
  const cases: [name: string, text: string | undefined, env: Record<string, string>, message: RegExp][] = [
    ['unknown key', 'stroe: file:./x', {}, /unknown key "stroe"; did you mean "store"\?$/],
    [
      'unknown nested key',
      'publish: { max-event: 1 }',
      {},
      /unknown key "publish\.max-event"; did you mean "publish\.max-events"\?$/,
    ],
    [
      'unknown variable',
      undefined,
      { COUNTERSIGN_PUBLISH_MAX_EVENT: '1' },
      /^unknown environment variable COUNTERSIGN_PUBLISH_MAX_EVENT; did you mean "COUNTERSIGN_PUBLISH_MAX_EVENTS"/,
    ],
    ['empty variable', undefined, { COUNTERSIGN_STORE: '' }, /^COUNTERSIGN_STORE has no value/],
    [
      'number out of range',
      'publish: { max-events: 0 }',
      {},
      /max-events is 0, expected a whole number from 1 to/,
    ],
    ['a number as text', 'publish: { max-events: "5" }', {}, /max-events is "5", expected a whole number/],
    ['text as a number', 'listen: 8458', {}, /listen is 8458, expected text such as 127\.0\.0\.1:8458/],
    [
      'section as text',
      'publish: fast',
      {},
      /publish is "fast", expected a mapping with the keys max-events/,
    ],
    ['log level', 'log-level: loud', {}, /log-level is "loud", expected one of fatal, error/],
    [
      'duplicate key',
      'listen: "127.0.0.1:1"\nlisten: "127.0.0.1:2"',
      {},
      /line 2: the key "listen" is given twice/,
    ],
    ['duplicate nested key', 'tls:\n  key: a\n  key: b', {}, /line 3: the key "key" is given twice/],
    ['alias', 'store: &a file:./x\nledger: *a', {}, /line 2: aliases are not read/],
    ['merge key', 'publish: { <<: { max-events: 1 } }', {}, /unknown key "publish\.<<"/],
    ['tag', 'store: !!binary aGVsbG8=', {}, /line 1/],
    ['two documents', 'store: file:./x\n---\nstore: file:./y', {}, /2 YAML documents/],
    ['a list', '- store', {}, /not a mapping/],
    ['prototype key', '__proto__: { store: x }', {}, /unknown key "__proto__"/],
    ['constructor key', 'constructor: x', {}, /unknown key "constructor"/],
    ['store that is not built in', 's3: x', {}, /unknown key "s3"/],
    ['S3 without a bucket', 'store: s3:///prefix', {}, /store has "" as its bucket.*the form is s3:/],
    ['S3 with a short bucket', 'store: s3://b1/prefix', {}, /"b1" as its bucket, expected 3 to 63/],
    ['S3 with one slash', 'store: s3:/bucket', {}, /store is "s3:\/bucket"; the form is/],
    [
      'S3 with a key in it',
      'store: s3://KEY:SECRET@bucket/p',
      {},
      /store has a user before the bucket: cred/,
    ],
    ['S3 prefix that climbs', 'store: s3://bucket/a/../b', {}, /"a\/\.\.\/b" as its prefix/],
    ['S3 prefix with an escape', 'store: s3://bucket/a%2Fb', {}, /"a%2Fb" as its prefix/],
    ['S3 parameter', 'store: s3://bucket?regoin=x', {}, /parameter "regoin", did you mean region/],
    ['S3 parameter twice', 'store: s3://bucket?region=a&region=b', {}, /parameter region twice/],
    ['S3 path style', 'store: s3://bucket?path-style=yes', {}, /"yes" as its path-style, expected true/],
    ['S3 endpoint', 'store: s3://bucket?endpoint=localhost:9000', {}, /no plain http or https origin/],
    [
      'S3 endpoint with a user',
      'store: s3://bucket?endpoint=http://u:p@h',
      {},
      /no plain http or https orig/,
    ],
    [
      'PostgreSQL',
      'ledger: mysql://u@h/db',
      {},
      /ledger has the kind "mysql:"; this version knows sqlite:PATH and postgres:/,
    ],
    [
      'unknown signer',
      'signer: hsm:KEY',
      {},
      /signer has the kind "hsm:"; this version knows file:PATH, vault:MOUNT/,
    ],
    [
      'Vault without a server',
      'signer: vault:transit/KEY',
      {},
      /signer has no address=; the form is vault:MOUNT\/KEY/,
    ],
    [
      'bare path',
      'store: ./repository',
      {},
      /names no kind; this version knows file:PATH and s3:\/\/BUCKET\/PREFIX$/,
    ],
    ['host in a file URI', 'store: file://host/x', {}, /store names a host/],
    ['listen without port', 'listen: 127.0.0.1', {}, /expected HOST:PORT/],
    ['port too large', 'listen: 127.0.0.1:65536', {}, /expected HOST:PORT/],
    ['open without auth', 'listen: 0.0.0.0:8458', {}, /listen is 0\.0\.0\.0.*set auth\.tokens/],
    ['half of tls', 'tls: { key: ./k }', {}, /tls\.key is set without tls\.certificate/],
    ['no unit', 'lifetimes: { timestamp: "3600" }', {}, /lifetimes\.timestamp: duration "3600" is not/],
    [
      'lifetime too short',
      'lifetimes: { timestamp: 59s }',
      {},
      /lifetimes\.timestamp is 59s, the least is 1m/,
    ],
    ['lifetime too long', 'lifetimes: { bin: 999999999d }', {}, /the most is 3650d/],
    [
      'interval against lifetime',
      'publish: { min-interval-ms: 60000 }\nlifetimes: { timestamp: 1m }',
      {},
      /more than half of lifetimes\.timestamp \(1m\)/,
    ],
    ['retention order', 'retention: { events: 1h }', {}, /retention\.events \(1h\) is shorter/],
    ['key in the public store', 'signer: file:./repository/online.key', {}, /signer is .* which is public/],
    ['ledger as public file', 'targets: file:.', {}, /ledger is .*inside the directory of targets/],
  ];
  test.each(cases)('%s', (_, text, env, message) => {
    expect(problem(() => parse(text, env))).toMatch(message);
  });

  test('the name of the file comes first', () => {
    expect(problem(() => parse('x: 1'))).toMatch(/^\/srv\/index\/countersign\.yaml: unknown key/);
  });

  test('a host that others reach is fine with tokens', () => {
    expect(parse('listen: 0.0.0.0:8458\nauth: { tokens: ./t.yaml }').config.auth?.tokens).toBe(
      '/srv/index/t.yaml',
    );
  });
});

describe('no input fails in another way', () => {
  const survives = (text: string | undefined, env: Record<string, string>): void => {
    try {
      parse(text, env);
    } catch (error) {
      if (!hasCode(error, 'config-invalid')) throw error;
      expect(messageOf(error)).not.toMatch(/\n/);
    }
  };

  test('any text', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        survives(text, {});
      }),
      { numRuns: runs },
    );
  });

  test('any mapping of known and unknown keys', () => {
    const settings = listSettings(ConfigSchema);
    const names = settings.flatMap(({ key }) => [key, ...key.split('.')]);
    const key = fc.oneof(fc.constantFrom(...names), fc.string({ maxLength: 12 }));
    const value = fc.letrec((tie) => ({
      node: fc.oneof(
        { depthSize: 'small' },
        fc.integer(),
        fc.double(),
        fc.boolean(),
        fc.constant(null),
        fc.string(),
        fc.constantFrom('1d', 'file:./x', 'none', 'https://a/', '0.0.0.0:1', 'sqlite:', 's3://'),
        fc.dictionary(key, tie('node'), { maxKeys: 4 }),
        fc.array(tie('node'), { maxLength: 3 }),
      ),
    })).node;
    // JSON is YAML.
    fc.assert(
      fc.property(fc.dictionary(key, value, { maxKeys: 6 }), (document) => {
        survives(JSON.stringify(document), {});
      }),
      { numRuns: runs },
    );
  });

  test('any environment', () => {
    const names = listSettings(ConfigSchema).map(({ env }) => env);
    const name = fc.oneof(
      fc.constantFrom(...names, 'COUNTERSIGN_TOKEN', 'COUNTERSIGN_SIGNER_PASSPHRASE'),
      fc.string({ maxLength: 8 }).map((text) => `COUNTERSIGN_${text}`),
    );
    fc.assert(
      fc.property(fc.dictionary(name, fc.string({ maxLength: 30 }), { maxKeys: 3 }), (env) => {
        survives(undefined, env);
      }),
      { numRuns: runs },
    );
  });

  test('a file at the size limit is refused quickly, whatever it holds', () => {
    const flows = ['[', '{a: ', '? ', '- ', '&a ', '"'].map((part) => part.repeat(50_000));
    const keys = Array.from({ length: 60_000 }, (_, index) => `key${index}: 1\n`).join('');
    for (const text of [...flows, keys, 'x'.repeat(MAX_CONFIG_BYTES + 1)]) problem(() => parse(text));
  }, 20_000);
});

describe('secrets', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'countersign-config-'));
  });
  afterAll(async () => {
    await rm(directory, { recursive: true });
  });

  async function secretFile(name: string, content: string, mode: number): Promise<string> {
    const file = path.join(directory, name);
    await writeFile(file, content);
    await chmod(file, mode);
    return file;
  }

  test('a private file gives its content without the newline at its end', async () => {
    expect(await readSecretFile(await secretFile('a', 'correct horse \n', 0o600), 'file')).toBe(
      'correct horse ',
    );
    expect(await readSecretFile(await secretFile('b', 'x\r\n', 0o400), 'file')).toBe('x');
  });

  test.each([0o640, 0o604, 0o644, 0o620])(
    'mode %o is refused with the command that mends it',
    async (mode) => {
      const file = await secretFile(`open ${mode}`, 'x', mode);
      const octal = mode.toString(8).padStart(4, '0');
      await expect(readSecretFile(file, 'passphrase file')).rejects.toMatchObject({
        code: 'secret-unreadable',
        message: `passphrase file ${file} is open to other users (mode ${octal}): run chmod 600 '${file}'`,
      });
    },
  );

  test('missing, empty, too large and a directory', async () => {
    const paths = [
      path.join(directory, 'absent'),
      await secretFile('empty', '\n', 0o600),
      await secretFile('large', 'x'.repeat(70_000), 0o600),
      directory,
    ];
    for (const file of paths) {
      await expect(readSecretFile(file, 'token file')).rejects.toMatchObject({ code: 'secret-unreadable' });
    }
  });

  test('configuration loads without touching the passphrase, which is read when asked for', async () => {
    const file = path.join(directory, 'countersign.yaml');
    await writeFile(file, 'signer-passphrase: ./online.passphrase\n');
    const { secrets } = await loadConfig({ file, cwd: '/', env: {} });
    await expect(secrets.signerPassphrase()).rejects.toMatchObject({ code: 'secret-unreadable' });
    await secretFile('online.passphrase', 'from the file\n', 0o600);
    expect(await secrets.signerPassphrase()).toBe('from the file');
    const fromEnvironment = await loadConfig({
      file,
      cwd: '/',
      env: { COUNTERSIGN_SIGNER_PASSPHRASE: 'env' },
    });
    expect(await fromEnvironment.secrets.signerPassphrase()).toBe('env');
  });

  test('a file that was asked for must exist; the default one need not', async () => {
    await expect(loadConfig({ file: 'absent.yaml', cwd: directory, env: {} })).rejects.toMatchObject({
      code: 'config-invalid',
    });
    const empty = path.join(directory, 'empty-directory');
    expect((await loadConfig({ cwd: empty, env: {} })).config.store).toEqual({
      kind: 'file',
      directory: path.join(empty, 'repository'),
    });
  });

  test('nothing prints a secret', () => {
    const secrets = new Secrets({
      passphrase: { value: 'hunter2' },
      nextPassphrase: { value: 'hunter2' },
      token: 'hunter2',
    });
    const printed = [
      inspect({ secrets }),
      JSON.stringify({ secrets }),
      String(secrets),
      inspect(secrets, { showHidden: true }),
    ];
    for (const text of printed) expect(text).not.toContain('hunter2');
    expect(JSON.stringify(secrets)).toBe('"[secrets]"');
  });

  test('every error that configuration can raise is a usage error', () => {
    expect([ERRORS['config-invalid'].kind, ERRORS['secret-unreadable'].kind]).toEqual(['usage', 'usage']);
  });
});
