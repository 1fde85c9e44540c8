// The source tree as the architecture test sees it: files, their lines, what they import.
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';

const ROOT = new URL('../..', import.meta.url).pathname;

export interface Import {
  /** `src/lib/clock.ts` for a file of this tree, else the specifier: `node:fs`, `yaml`. */
  readonly name: string;
  readonly typeOnly: boolean;
  /** `await import(…)`: not when the module is loaded. */
  readonly later: boolean;
}

export interface SourceFile {
  /** From the root: `src/lib/clock.ts`. */
  readonly name: string;
  readonly text: string;
  readonly lines: number;
  readonly imports: readonly Import[];
}

/** Text of a file of the tree, by its name from the root. */
export function readText(name: string): string {
  return readFileSync(path.join(ROOT, name), 'utf8');
}

/** Files that git tracks, and new ones that it does not ignore. */
export function trackedFiles(): string[] {
  const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard', '--deduplicate'];
  const deleted = new Set(list(['ls-files', '-z', '--deleted']));
  return list(args).filter((name) => !deleted.has(name));
}

function list(args: readonly string[]): string[] {
  const output = execFileSync('git', args, { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });
  return output.split('\0').filter((name) => name !== '');
}

/** Every TypeScript file below one of `folders`. */
export function sourceFiles(...folders: readonly string[]): SourceFile[] {
  return trackedFiles()
    .filter((name) => name.endsWith('.ts') && folders.some((folder) => name.startsWith(`${folder}/`)))
    .map((name) => {
      const text = readText(name);
      return { name, text, lines: text.split('\n').length - 1, imports: importsOf(name, text) };
    });
}

function importsOf(name: string, text: string): Import[] {
  const file = ts.createSourceFile(name, text, ts.ScriptTarget.Latest, false);
  const imports: Import[] = [];
  const take = (specifier: ts.Node | undefined, typeOnly: boolean, later = false): void => {
    if (specifier === undefined || !ts.isStringLiteral(specifier)) return;
    const target = specifier.text;
    const found = target.startsWith('.') ? path.join(path.dirname(name), target) : target;
    imports.push({ name: found, typeOnly, later });
  };
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      const clause = node.importClause;
      const bindings = clause?.namedBindings;
      const named = bindings !== undefined && ts.isNamedImports(bindings) ? bindings.elements : undefined;
      const onlyTypes = clause?.name === undefined && named?.every((element) => element.isTypeOnly) === true;
      take(node.moduleSpecifier, clause?.phaseModifier === ts.SyntaxKind.TypeKeyword || onlyTypes);
    } else if (ts.isExportDeclaration(node)) take(node.moduleSpecifier, node.isTypeOnly);
    else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      take(node.arguments[0], false, true);
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return imports;
}

const TEMPLATE_TEXT = new Set([
  ts.SyntaxKind.TemplateHead,
  ts.SyntaxKind.TemplateMiddle,
  ts.SyntaxKind.TemplateTail,
]);

/** Of texts that were asked about before: several rules look at every file. */
const codes = new Map<string, string>();

/** The code of `text` alone: comments are gone, and strings are empty. */
export function codeOnly(text: string): string {
  const code = codes.get(text) ?? withoutWords(text);
  codes.set(text, code);
  return code;
}

function withoutWords(text: string): string {
  const file = ts.createSourceFile('code.ts', text, ts.ScriptTarget.Latest, true);
  let code = '';
  const visit = (node: ts.Node): void => {
    if (node.getChildCount(file) > 0) {
      node.getChildren(file).forEach(visit);
      return;
    }
    if (node.getStart(file) > node.getFullStart()) code += ' ';
    code += ts.isStringLiteralLike(node) || TEMPLATE_TEXT.has(node.kind) ? '""' : node.getText(file);
  };
  visit(file);
  return code;
}
