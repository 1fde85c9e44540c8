// One file of all modules of the ceremony, for a computer that has Node and nothing else. The same sources and the same
// lock file give the same bytes on every computer: no date, no absolute path, nothing of the environment goes in.
import path from 'node:path';
import { build, type Metafile } from 'esbuild';

/** Loaded only when a key lies on a token; native code, so that it cannot be a part of the file. */
export const NATIVE = 'pkcs11js';

export interface CeremonyBundle {
  readonly program: Uint8Array;
  /** What went in, and what is loaded at run time; paths are relative to the root. */
  readonly metafile: Metafile;
}

/**
 * Bundles `keys-ceremony/main.ts` of the tree at `root`; nothing is written.
 * @throws Error when a module cannot be found or parsed, or when esbuild has anything to warn of.
 */
export async function bundleCeremony(root: string): Promise<CeremonyBundle> {
  const result = await build({
    absWorkingDir: root,
    entryPoints: ['keys-ceremony/main.ts'],
    outfile: path.join(root, 'countersign-ceremony.mjs'),
    write: false,
    metafile: true,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20.19',
    external: [NATIVE],
    // People read it: the names stay, and each module stands below its path.
    minify: false,
    charset: 'utf8',
    // Their full texts lie beside the program.
    legalComments: 'none',
    // A node_modules that is a link must not show where it points to.
    preserveSymlinks: true,
    // Not the tsconfig.json of whichever folder lies above.
    tsconfigRaw: { compilerOptions: { target: 'es2023', verbatimModuleSyntax: true } },
    define: { COUNTERSIGN_SINGLE_FILE: 'true' },
    // CommonJS packages ask for Node's modules by require, which an ES module has to make for itself.
    banner: {
      js: "import { createRequire as __createRequire } from 'node:module';\nconst require = __createRequire(import.meta.url);",
    },
    logLevel: 'silent',
  });
  const [warning] = result.warnings;
  if (warning !== undefined) throw new Error(`esbuild warns: ${warning.text}`);
  const [output] = result.outputFiles;
  if (output === undefined || result.outputFiles.length !== 1)
    throw new Error('esbuild wrote no single file');
  return { program: output.contents, metafile: result.metafile };
}
