// Which tree has passed the whole suite. `npm test` leaves a mark when every file passed; `npm run check` reads it, and
// does not repeat minutes of tests when nothing at all has changed since.
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { lstat, mkdir, readdir, readFile, readlink, rename, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';

const MARK = 'node_modules/.cache/countersign-tested.json';

/** Settings with which a run means something else: it takes longer forms, or writes what it should compare with. */
const SETTINGS = /^(SLOW|GOLDEN|CI|NODE_OPTIONS|TZ|(COUNTERSIGN|VITEST)_.*)$/;

/** Not in git, and part of every run all the same: the built programs. */
const BUILT = 'dist';

/** As npm installed them. */
const PACKAGES = 'node_modules/.package-lock.json';

export interface Tested {
  /** Of `treeDigest`. */
  readonly digest: string;
  /** When the run ended, in ISO 8601. */
  readonly at: string;
}

/**
 * SHA-256 over the name, mode and content of every file of a checkout, tracked or new, and over what else decides how
 * the suite ends: packages, Node, platform, settings. Undefined where git cannot say which files these are.
 */
export async function treeDigest(
  checkout: string,
  env: NodeJS.ProcessEnv = process.env,
  node = process.version,
): Promise<string | undefined> {
  const names = await fileNames(checkout);
  if (names === undefined) return undefined;
  const hash = createHash('sha256');
  const add = (...words: (string | undefined)[]): unknown => hash.update(`${JSON.stringify(words)}\n`);
  add(node, process.platform, process.arch);
  for (const name of Object.keys(env).sort()) if (SETTINGS.test(name)) add(name, env[name]);
  const built = await readdir(path.join(checkout, BUILT), { recursive: true }).catch(() => []);
  const others = [PACKAGES, ...built.sort().map((name) => path.join(BUILT, name))];
  for (const name of [...names, ...others]) add(name, ...(await contentOf(path.join(checkout, name))));
  return hash.digest('hex');
}

/** What the last run said that passed as a whole, if it was of this tree. */
export async function testedBefore(
  checkout: string,
  digest: string | undefined,
): Promise<Tested | undefined> {
  try {
    const tested = JSON.parse(await readFile(path.join(checkout, MARK), 'utf8')) as Tested;
    return digest !== undefined && tested.digest === digest ? tested : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Runs the suite with these arguments of its user, and marks the tree when it has passed: only without arguments, which
 * choose tests, and only when nothing changed meanwhile. Resolves with the exit status of `run`.
 */
export async function runMarked(
  checkout: string,
  args: readonly string[],
  run: () => number | Promise<number>,
  now: () => number,
  digestOf: (checkout: string) => Promise<string | undefined> = treeDigest,
): Promise<number> {
  const mark = path.join(checkout, MARK);
  if (args.length > 0) return run();
  await rm(mark, { force: true });
  const before = await digestOf(checkout);
  const status = await run();
  if (status !== 0 || before === undefined || (await digestOf(checkout)) !== before) return status;
  const tested: Tested = { digest: before, at: new Date(now()).toISOString() };
  await mkdir(path.dirname(mark), { recursive: true });
  await writeFile(`${mark}.new`, JSON.stringify(tested));
  await rename(`${mark}.new`, mark);
  return status;
}

async function fileNames(checkout: string): Promise<string[] | undefined> {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--deduplicate'];
  try {
    const { stdout } = await promisify(execFile)('git', args, { cwd: checkout, maxBuffer: 1 << 26 });
    return stdout.split('\0').filter(Boolean).sort();
  } catch {
    return undefined;
  }
}

/** Kind, mode and content; a file that git knows and that is gone has none. */
async function contentOf(file: string): Promise<string[]> {
  try {
    const { mode } = await lstat(file);
    const kind = mode & 0o170000;
    if (kind === 0o120000) return ['link', await readlink(file)];
    if (kind !== 0o100000) return ['neither file nor link'];
    const sha256 = createHash('sha256')
      .update(await readFile(file))
      .digest('hex');
    return [(mode & 0o777).toString(8), sha256];
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return ['absent'];
    throw error;
  }
}
