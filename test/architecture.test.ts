// The rules of the tree, as far as a program can hold them. docs/adr/ says why they are what they are.
import { builtinModules } from 'node:module';
import { describe, expect, test } from 'vitest';
import { VERSION } from '../src/lib/version.ts';
import { packageClosure, packageCode, packageOf } from './support/package-tree.ts';
import { codeOnly, readText, sourceFiles, trackedFiles, type SourceFile } from './support/source-tree.ts';

const files = sourceFiles('src', 'keys-ceremony');
const byName = new Map(files.map((file) => [file.name, file]));
const packages = JSON.parse(readText('package.json')) as {
  version: string;
  dependencies: Record<string, string>;
  optionalDependencies: Record<string, string>;
  devDependencies: Record<string, string>;
};

/** What may be there when the service or the ceremony runs. */
const installed = { ...packages.dependencies, ...packages.optionalDependencies };

/** Keys on tokens: the part of the signers that the offline ceremony uses too. */
const TOKENS = 'src/signing/pkcs11/';

/** What a file of each layer may import besides its own layer, and `typeOnly` what it may know the types of. */
const LAYERS: Readonly<
  Record<string, { readonly uses: readonly string[]; readonly typeOnly?: readonly string[] }>
> = {
  lib: { uses: [] },
  tuf: { uses: ['lib'] },
  signing: { uses: ['tuf', 'lib'] },
  storage: { uses: ['lib'] },
  ledger: { uses: ['tuf', 'lib'] },
  publish: { uses: ['ledger', 'simple', 'tuf', 'signing', 'storage', 'lib'] },
  backsign: { uses: ['publish', 'ledger', 'simple', 'tuf', 'signing', 'storage', 'lib'] },
  follow: { uses: ['backsign', 'ledger', 'lib'] },
  http: { uses: ['ledger', 'publish', 'simple', 'tuf', 'lib'], typeOnly: ['storage', 'signing', 'config'] },
  client: { uses: ['simple', 'tuf', 'lib'], typeOnly: ['storage'] },
  simple: { uses: ['tuf', 'lib'] },
  proxy: { uses: ['client', 'simple', 'tuf', 'lib'] },
  config: { uses: ['lib'] },
};

/** `src/tuf/keys.ts` is of layer `tuf`; files directly in src, and src/cli, compose everything. */
function layerOf(name: string): string | undefined {
  return /^src\/([^/]+)\//.exec(name)?.[1];
}

/** Every module that may run when `start` is loaded, with the way to it; `atOnce`: those that are loaded with it. */
function reach(start: readonly string[], atOnce = false): Map<string, string> {
  const paths = new Map(start.map((name) => [name, name]));
  for (const [name, way] of paths) {
    for (const { name: target, typeOnly, later } of byName.get(name)?.imports ?? []) {
      if (!typeOnly && !(atOnce && later) && !paths.has(target)) paths.set(target, `${way} -> ${target}`);
    }
  }
  return paths;
}

function isNode(name: string): boolean {
  return name.startsWith('node:') || builtinModules.includes(name);
}

describe('imports', () => {
  test('each layer imports only what it stands on', () => {
    const wrong = files.flatMap((file) => {
      const layer = layerOf(file.name);
      const rule = layer === undefined ? undefined : LAYERS[layer];
      if (rule === undefined) return [];
      return file.imports.flatMap(({ name, typeOnly }) => {
        const other = layerOf(name) ?? (/^src\/(config|secrets)\.ts$/.test(name) ? 'config' : undefined);
        if (!name.startsWith('src/')) return [];
        if (other === layer || (other !== undefined && rule.uses.includes(other))) return [];
        return typeOnly && other !== undefined && rule.typeOnly?.includes(other) === true
          ? []
          : [`${file.name} -> ${name}`];
      });
    });
    expect(wrong).toEqual([]);
  });

  test('every folder of src is a layer with a rule, or composes', () => {
    const folders = new Set(files.flatMap(({ name }) => layerOf(name) ?? []));
    expect(
      [...folders].filter((folder) => !(folder in LAYERS) && folder !== 'cli' && folder !== 'demo'),
    ).toEqual([]);
  });

  test('only src/service.ts imports http', () => {
    const outside = files.filter(
      ({ name, imports }) =>
        layerOf(name) !== 'http' && imports.some((target) => layerOf(target.name) === 'http'),
    );
    expect(outside.map(({ name }) => name).filter((name) => name !== 'src/service.ts')).toEqual([]);
  });

  test('tuf does no I/O', () => {
    const used = files
      .filter(({ name }) => layerOf(name) === 'tuf')
      .flatMap(({ name, imports }) =>
        imports.filter((target) => isNode(target.name)).map((target) => `${name}: ${target.name}`),
      );
    expect(used.filter((use) => !/: node:(crypto|buffer|util)$/.test(use))).toEqual([]);
  });

  test('the online key is used in one place, behind the announcement', () => {
    const signing = /\b(?:[sS]igner|#opened\(\)|key)\)?\.sign\(/;
    const users = files.filter(({ name, text }) => name.startsWith('src/') && signing.test(codeOnly(text)));
    // The adapters themselves: one that passes on, one that asks a token.
    const adapters = ['src/signing/late-signer.ts', 'src/signing/pkcs11-signer.ts'];
    expect(users.map(({ name }) => name).filter((name) => !adapters.includes(name))).toEqual([
      'src/publish/seal.ts',
    ]);
    const sealing = /\b(?:sealBins|sealSnapshot|sealTimestamp|sealHead)\(/;
    const sealers = files.filter(({ text }) => sealing.test(codeOnly(text))).map(({ name }) => name);
    expect(sealers).toEqual([
      'src/publish/bootstrap.ts',
      'src/publish/commit.ts',
      'src/publish/import-publication.ts',
      'src/publish/reconcile.ts',
      'src/publish/seal.ts',
      'src/publish/write-bins.ts',
    ]);
    const writers = files.filter(({ imports }) =>
      imports.some(({ name }) => name === 'src/publish/write-bins.ts'),
    );
    expect(writers.map(({ name }) => name)).toEqual([
      'src/backsign/bin-work.ts',
      'src/publish/bin-desk.ts',
      'src/publish/bootstrap.ts',
    ]);
  });

  test('the ceremony imports src/tuf, src/lib, tokens and the Signer type only', () => {
    const wrong = files
      .filter(({ name }) => name.startsWith('keys-ceremony/'))
      .flatMap(({ name, imports }) => imports.map((target) => ({ from: name, ...target })))
      .filter(({ name }) => name.startsWith('src/') && !/^src\/(tuf|lib|signing\/pkcs11)\//.test(name))
      .filter(({ name, typeOnly }) => !(name === 'src/signing/signer.ts' && typeOnly));
    expect(wrong).toEqual([]);
  });

  test('tokens import src/tuf, src/lib, node: and their binding only', () => {
    const tokens = files.filter(({ name }) => name.startsWith(TOKENS));
    expect(tokens.length).toBeGreaterThan(4);
    const wrong = tokens
      .flatMap(({ name, imports }) => imports.map((target) => ({ from: name, ...target })))
      .filter(
        ({ name }) =>
          !/^src\/(tuf|lib)\//.test(name) && !name.startsWith(TOKENS) && !name.startsWith('node:'),
      )
      .filter(({ name }) => name !== 'pkcs11js');
    expect(wrong).toEqual([]);
  });

  test('an optional package is loaded by the tokens only, when a key is opened', () => {
    const static_ = files.flatMap(({ name, text, imports }) =>
      imports
        .filter((target) => packageOf(target.name) in packages.optionalDependencies && !target.typeOnly)
        .filter(() => !name.startsWith(TOKENS) || !text.includes("await import('pkcs11js')"))
        .map((target) => `${name} -> ${target.name}`),
    );
    expect(static_).toEqual([]);
  });

  test('no network module is anywhere below the ceremony', () => {
    const reached = reach(
      files
        .filter(({ name }) => name.startsWith('keys-ceremony/') || name.startsWith(TOKENS))
        .map(({ name }) => name),
    );
    const network = /^(node:)?(net|tls|http|https|http2|dgram|dns|dns\/promises|inspector|cluster)$/;
    const talkative = /^(fastify|@fastify\/.*|libsql|pino|prom-client|tuf-js|undici)$/;
    const ways = [...reached]
      .filter(([name]) => network.test(name) || talkative.test(name))
      .map(([, way]) => way);
    expect(ways).toEqual([]);
    for (const name of reached.keys()) {
      const file = byName.get(name);
      if (file !== undefined)
        expect(codeOnly(file.text), name).not.toMatch(/\b(fetch|WebSocket|EventSource)\s*\(/);
    }
  });

  test('no package that the ceremony loads imports a network module', () => {
    const reached = reach(
      files
        .filter(({ name }) => name.startsWith('keys-ceremony/') || name.startsWith(TOKENS))
        .map(({ name }) => name),
    );
    const direct = [...reached.keys()].map(packageOf).filter((name) => name in installed);
    expect(direct).toContain('pkcs11js');
    const closure = packageClosure(direct);
    expect(closure.size).toBeGreaterThan(direct.length / 2);
    const network =
      /(?:require\(|from|import\(?)\s*['"](?:node:)?(?:net|tls|http|https|http2|dgram|dns)(?:\/[a-z]+)?['"]/;
    const talking = [...closure.values()].flatMap((directory) =>
      packageCode(directory).filter((file) => network.test(readText(file))),
    );
    expect(talking).toEqual([]);
  });

  test('what verifies starts without the libraries of the service', () => {
    const start = ['main', 'client', 'cli/client', 'cli/mirror', 'cli/proxy', 'cli/watch'];
    const reached = reach(
      start.map((name) => `src/${name}.ts`),
      true,
    );
    // Each takes longer to load than a refresh takes.
    const heavy = /^(typebox|fastify|@fastify|pino|pg|yaml|@aws-sdk|age-encryption|node-vault)\b/;
    expect([...reached].filter(([name]) => heavy.test(name)).map(([, way]) => way)).toEqual([]);
  });

  test('no cycles', () => {
    const done = new Set<string>();
    const cycles: string[] = [];
    const visit = (file: SourceFile, way: readonly string[]): void => {
      if (way.includes(file.name)) {
        cycles.push([...way.slice(way.indexOf(file.name)), file.name].join(' -> '));
        return;
      }
      if (done.has(file.name)) return;
      for (const { name } of file.imports) {
        const target = byName.get(name);
        if (target !== undefined) visit(target, [...way, file.name]);
      }
      done.add(file.name);
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });

  test('every file that is imported exists, and every package is a dependency', () => {
    const known = new Set(Object.keys(installed));
    const missing = files.flatMap((file) =>
      file.imports
        .map(({ name }) => name)
        .filter((name) =>
          /^(src|keys-ceremony)\//.test(name)
            ? !byName.has(name)
            : !isNode(name) &&
              !known.has(
                name
                  .split('/')
                  .slice(0, name.startsWith('@') ? 2 : 1)
                  .join('/'),
              ),
        )
        .map((name) => `${file.name} -> ${name}`),
    );
    expect(missing).toEqual([]);
  });
});

describe('size', () => {
  test('no file is over 500 lines', () => {
    const long = [...files, ...sourceFiles('scripts')].filter(({ lines }) => lines > 500);
    expect(long.map(({ name, lines }) => `${name}: ${lines}`)).toEqual([]);
  });

  test('the median file has at most 150 lines', () => {
    const sizes = files.map(({ lines }) => lines).sort((a, b) => a - b);
    expect(sizes[Math.floor(sizes.length / 2)]).toBeLessThanOrEqual(150);
  });
});

describe('edges', () => {
  const ENTRIES = ['src/main.ts', 'keys-ceremony/main.ts'];
  const rules: [what: string, pattern: RegExp, allowed: readonly string[]][] = [
    ['time', /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bhrtime\b/, ['src/lib/clock.ts']],
    ['chance', /\bMath\.random\b/, []],
    ['environment and exit', /\bprocess\.(env|exit|argv)\b/, ENTRIES],
  ];
  test.each(rules)('%s enters at the edge', (_, pattern, allowed) => {
    const wrong = files.filter(({ name, text }) => !allowed.includes(name) && pattern.test(codeOnly(text)));
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });

  test('no default exports, no barrels', () => {
    const wrong = files.filter(
      ({ name, text }) =>
        /^export (default|\* from)\b/m.test(text) || name.endsWith('/index.ts') || /\/utils?\b/.test(name),
    );
    expect(wrong.map(({ name }) => name)).toEqual([]);
  });
});

describe('documents', () => {
  test('docs/life-of-an-upload.md names only files that exist', () => {
    const named = [
      ...readText('docs/life-of-an-upload.md').matchAll(
        /\b(?:src|keys-ceremony|docs|test|scripts)\/[\w./-]+\.(?:ts|md)\b/g,
      ),
    ];
    const tracked = new Set(trackedFiles());
    expect(named.length).toBeGreaterThan(4);
    expect(named.map(([name]) => name).filter((name) => !tracked.has(name))).toEqual([]);
  });

  test('every dependency has its reason in docs/dependencies.md, and no other package has one', () => {
    const listed = [...readText('docs/dependencies.md').matchAll(/^\| `([^`]+)` +\| \S.{20,} \|$/gm)].map(
      ([, name]) => name,
    );
    const { dependencies, optionalDependencies, devDependencies } = packages;
    const all = [dependencies, optionalDependencies, devDependencies].flatMap((list) => Object.keys(list));
    expect(listed.toSorted()).toEqual(all.toSorted());
  });

  test('the version is that of package.json', () => {
    expect(VERSION).toBe(packages.version);
  });

  test('no tracked file names a package registry or a path of one machine', () => {
    // In pieces, so that this file keeps the rule itself.
    const hosts = [
      ['registry.', 'npmjs'],
      ['pypi', '.org'],
      ['python', 'hosted.org'],
      ['proxy.', 'golang.org'],
      ['crates', '.io/api'],
      ['deb.', 'debian.org'],
    ];
    const paths = ['ro' + 'ot', 'wo' + 'rk', 'ho' + 'me/[a-z]', 'fa' + 'rm', 'Us' + 'ers/[A-Za-z]'];
    const escaped = hosts.map((parts) => parts.join('').replaceAll('.', '\\.'));
    const forbidden = new RegExp(
      `${escaped.join('|')}|(?<![\\w.~$}-])/(?:${paths.join('|')})(?:/|\\b(?=["'\`\\s]))`,
      'i',
    );
    const found = trackedFiles()
      .filter((name) => !/\.(png|gz|zip|whl|ico)$/.test(name))
      .flatMap((name) => {
        const match = forbidden.exec(readText(name));
        return match === null ? [] : [`${name}: ${match[0]}`];
      });
    expect(found).toEqual([]);
  });
});
