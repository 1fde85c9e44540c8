// The runbook cannot drift from the program: each of its command lines is parsed by the program's own parser, each of its
// plans by the program's own reader, and each of its ways leads somewhere.
import { Writable } from 'node:stream';
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { parsePlan } from '../../keys-ceremony/parse-plan.ts';
import { ceremonyProgram } from '../../keys-ceremony/program.ts';
import { runCli } from '../../src/cli/program.ts';
import { NOW } from '../support/genesis-repository.ts';
import { readText } from '../support/source-tree.ts';

const RUNBOOK = readText('docs/ceremony-runbook.md');

/** Command lines of a program: in blocks of commands, and in backquotes. */
function linesOf(program: string): string[] {
  const blocks = [...RUNBOOK.matchAll(/^ *```sh\n([\s\S]*?)^ *```$/gm)].flatMap(([, block = '']) =>
    block.split('\n'),
  );
  const inline = [...RUNBOOK.replace(/^ *```[\s\S]*?^ *```$/gm, '').matchAll(/`([^`\n]+)`/g)].map(
    ([, text = '']) => text,
  );
  return [...blocks, ...inline].map((line) => line.trim()).filter((line) => line.startsWith(`${program} `));
}

/** Words of a command line, quotes taken off. */
function words(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|'([^']*)'|(\S+)/g)].map(([, a, b, c]) => a ?? b ?? c ?? '').slice(1);
}

const sink = (): Writable =>
  new Writable({
    write: (_chunk, _encoding, done) => {
      done();
    },
  });

function program(): Command {
  return ceremonyProgram({
    cwd: '.',
    stdout: sink(),
    stderr: sink(),
    clock: { now: () => NOW, sleep: () => Promise.resolve() },
    random: (bytes) => new Uint8Array(bytes),
  });
}

/** Problems with a command line; none when the program would run it. */
function problems(line: string): string[] {
  let command = program();
  let rest = words(line);
  if (rest[0] === '--version') return [];
  for (;;) {
    const next = command.commands.find((candidate) => candidate.name() === rest[0]);
    if (next === undefined) break;
    command = next;
    rest = rest.slice(1);
  }
  if (command.parent === null) return [`${line}: there is no such command`];
  try {
    const { operands, unknown } = command.parseOptions(rest);
    const required = command.registeredArguments.filter(({ required: needed }) => needed);
    const most = command.registeredArguments.some(({ variadic }) => variadic)
      ? Number.POSITIVE_INFINITY
      : command.registeredArguments.length;
    const missing = command.options.filter(
      (option) => option.mandatory && command.getOptionValue(option.attributeName()) === undefined,
    );
    return [
      ...unknown.map((word) => `${line}: ${word} is unknown`),
      // In a sentence the name of a command may stand by itself.
      ...(rest.length > 0 && operands.length < required.length ? [`${line}: an argument is missing`] : []),
      ...(operands.length > most ? [`${line}: ${operands.slice(most).join(' ')} is too much`] : []),
      ...(rest.length === 0 ? [] : missing.map((option) => `${line}: ${option.long ?? ''} is missing`)),
    ];
  } catch (error) {
    return [`${line}: ${(error as Error).message}`];
  }
}

test('every command line is one that the program takes', () => {
  const lines = linesOf('countersign-ceremony');
  expect(lines.length).toBeGreaterThan(30);
  expect(lines.flatMap(problems)).toEqual([]);
});

test('the check finds what it is for', () => {
  expect(problems('countersign-ceremony sing --key x')).toHaveLength(1);
  expect(problems('countersign-ceremony sign --kee x')).not.toEqual([]);
  expect(problems('countersign-ceremony sign --code "a b"')).toEqual([
    'countersign-ceremony sign --code "a b": --key is missing',
  ]);
  expect(problems('countersign-ceremony merge')).toEqual([]);
  expect(problems('countersign-ceremony build here')).toHaveLength(1);
});

test('every command of the program that a ceremony needs is in the runbook', () => {
  const leaves = (command: Command): string[] =>
    command.commands.length === 0
      ? [command.name()]
      : command.commands.flatMap((inner) => leaves(inner).map((name) => `${command.name()} ${name}`));
  const text = linesOf('countersign-ceremony').join('\n');
  const unused = leaves(program())
    .map((name) => name.replace(/^countersign-ceremony /, ''))
    .filter((name) => !text.includes(`countersign-ceremony ${name}`));
  // What somebody only looks at.
  expect(unused.filter((name) => !['key show'].includes(name))).toEqual([]);
});

test('every command line of the service is one that it takes', async () => {
  const lines = linesOf('countersign');
  expect(lines.length).toBeGreaterThan(5);
  for (const line of new Set(lines)) {
    const path = words(line).filter((word) => /^[a-z]+$/.test(word));
    const shown: string[] = [];
    const stdout = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        shown.push(chunk.toString());
        done();
      },
    });
    const context = { stdout, stderr: sink(), cwd: '.', env: {} } as unknown as Parameters<typeof runCli>[1];
    expect(await runCli([...path, '--help'], context), line).toBe(0);
    expect(shown.join(''), line).toContain(`Usage: countersign ${path.join(' ')}`);
    for (const option of words(line).filter((word) => word.startsWith('--')))
      expect(shown.join(''), line).toContain(option);
  }
});

test('every plan is one that the program reads', () => {
  const plans = [...RUNBOOK.matchAll(/^( *)```yaml\n([\s\S]*?)^ *```$/gm)].map(([, indent = '', text = '']) =>
    text.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  );
  expect(plans.length).toBeGreaterThan(0);
  for (const plan of plans) expect(parsePlan(Buffer.from(plan)).ceremony).toBe('2027-renewal');
});

test('every way leads to a heading, and every part has an end', () => {
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replace(/[^a-z0-9 -]/g, '')
      .replaceAll(' ', '-');
  const headings = [...RUNBOOK.matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading);
  const slugs = new Set(headings.map(slug));
  const ways = [...RUNBOOK.matchAll(/\]\(#([^)]+)\)/g)].map(([, way = '']) => way);
  expect(ways.length).toBeGreaterThan(20);
  expect(ways.filter((way) => !slugs.has(way))).toEqual([]);
  const parts = RUNBOOK.split(/^##? /m).filter((part) => /^1\. /m.test(part));
  expect(parts.length).toBeGreaterThan(20);
  expect(parts.filter((part) => !part.includes('**END**')).map((part) => part.split('\n')[0])).toEqual([]);
});

test('the checklist has a page for each ceremony', () => {
  const page = readText('docs/ceremony-checklist.html');
  const [, ceremonies = ''] = /^# The ceremonies\n([\s\S]*?)^# /m.exec(RUNBOOK) ?? [];
  const names = [...ceremonies.matchAll(/^## (.+)$/gm)].map(([, name = '']) => name);
  expect(names.length).toBe(12);
  for (const name of names) expect(page).toContain(name);
  expect(page).not.toMatch(/<script|<link|<img|url\(|https?:/i);
});

test('every attack on a ceremony that docs/trust.md names is carried out under its name', () => {
  const [, table = ''] = /^## Attacks on a ceremony\n([\s\S]*)/m.exec(readText('docs/trust.md')) ?? [];
  const names = [...table.matchAll(/^\| ([^|]+?) +\|/gm)].map(([, name = '']) => name).slice(2);
  expect(names).toHaveLength(9);
  const tests = readText('test/faults/ceremony-attacks.test.ts');
  for (const name of names) expect(tests, name).toMatch(new RegExp(`\\('${name}[':]`));
});
