// The tables that only an interop run can fill have the shape of what it would run today: every attack, every client,
// every size. A row that is missing, or one too many, means that the run has changed and its page has not.
import { describe, expect, test } from 'vitest';
import { allAttacks } from '../../scripts/interop/attacks/attacks.ts';
import { ATTACKS_PAGE, victimNames } from '../../scripts/interop/attacks/run-attacks.ts';
import { makeScene } from '../../scripts/interop/attacks/scene.ts';
import { CLIENTS } from '../../scripts/interop/clients.ts';
import { INTEROP_PAGE } from '../../scripts/interop/interop-page.ts';
import { CHECKS, FORMATS, SIZES } from '../../scripts/interop/matrix/matrix.ts';
import { readText } from '../support/source-tree.ts';

/** Rows of all tables below a heading, their cells trimmed; without the rules. */
function rowsBelow(page: string, heading: string, level: string): string[][] {
  const [, after = ''] = page.split(`\n${level} ${heading}\n`);
  const section = after.split(/\n#{2,3} /)[0] ?? '';
  const lines = section.split('\n').filter((line) => line.startsWith('| ') && !/^\|[ |-]*$/.test(line));
  return lines.map((line) => line.slice(1, -1).split(' | ').map((cell) => cell.trim()));
}

const attacks = allAttacks(makeScene(Date.UTC(2026, 0, 1)));

describe(ATTACKS_PAGE, () => {
  const page = readText(ATTACKS_PAGE);

  test.each([...new Set(attacks.map(({ kind }) => kind))])('%s', (kind) => {
    const rows = rowsBelow(page, kind.slice(0, 1).toUpperCase() + kind.slice(1), '##');
    expect(rows[0]).toEqual(['attack', 'what the mirror does', 'it holds', ...victimNames()]);
    const expected = attacks.filter((attack) => attack.kind === kind);
    expect(rows.slice(1).map((row) => row.slice(0, 3))).toEqual(
      expected.map(({ name, does, holds }) => [`\`${name}\``, does, holds]),
    );
    for (const verdict of rows.slice(1).flatMap((row) => row.slice(3))) {
      expect(verdict).toMatch(/^(?:refused|safe|held|LOCKED OUT|FOOLED|not run)$/);
    }
  });

  test('none of ours was beaten', () => {
    const ours = victimNames().flatMap((name, index) => (name.includes('countersign') ? [index + 3] : []));
    const verdicts = attacks.flatMap(({ name }) => {
      const row = page.split('\n').find((line) => line.startsWith(`| \`${name}\` `)) ?? '';
      const cells = row.slice(1, -1).split(' | ').map((cell) => cell.trim());
      return ours.map((index) => `${name}: ${cells[index] ?? 'missing'}`);
    });
    expect(verdicts.filter((verdict) => !/: (?:refused|safe)$/.test(verdict))).toEqual([]);
  });
});

describe(INTEROP_PAGE, () => {
  const page = readText(INTEROP_PAGE);
  const tables = SIZES.flatMap((bins) => FORMATS.map((format) => `${bins.toLocaleString('en')} bins, ${format}`));

  test.each(tables)('%s', (heading) => {
    const rows = rowsBelow(page, heading, '###');
    expect(rows[0]).toEqual(['client', ...CHECKS]);
    expect(rows.slice(1).map(([client]) => client)).toEqual(CLIENTS.map(({ name }) => name));
    expect(rows.flat().filter((cell) => cell === '')).toEqual([]);
  });
});
