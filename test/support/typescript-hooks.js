// Lets a child process of a test run the sources as they are, on every supported version of Node. What was translated
// once is kept, by its content: loading the compiler costs a process more than all that most of them do.
import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';

const CACHE = new URL('../../node_modules/.cache/countersign-test-modules/', import.meta.url);

const compiler = JSON.parse(
  await readFile(new URL('../../node_modules/typescript/package.json', import.meta.url), 'utf8'),
).version;

export async function load(url, context, nextLoad) {
  if (!url.endsWith('.ts')) return nextLoad(url, context);
  const text = await readFile(new URL(url), 'utf8');
  const key = createHash('sha256').update(`${compiler}\n${text}`).digest('hex');
  const kept = new URL(`${key}.js`, CACHE);
  const source = await readFile(kept, 'utf8').catch(() => translate(text, kept));
  return { format: 'module', shortCircuit: true, source };
}

async function translate(text, kept) {
  const { default: ts } = await import('typescript');
  const { outputText } = ts.transpileModule(text, {
    compilerOptions: {
      target: ts.ScriptTarget.ES2023,
      module: ts.ModuleKind.ESNext,
      verbatimModuleSyntax: true,
    },
  });
  // A cache that cannot be written makes tests slower, not wrong.
  await keep(outputText, kept).catch(() => undefined);
  return outputText;
}

/** Whole or not there: another process may be reading. */
async function keep(source, kept) {
  const partial = new URL(randomUUID(), CACHE);
  await mkdir(CACHE, { recursive: true });
  await writeFile(partial, source);
  await rename(partial, kept);
}
