// What docs/scale.md says of the machine that its figures were taken on.
import { expect, test } from 'vitest';
import { besideBetween, besideSentence, ticksOf } from '../../scripts/scale/other-work.ts';
import { scalePage, type ScaleFigures } from '../../scripts/scale/page.ts';

const SERVICE = { startMs: [900], publications: 500, publicationsPerSecond: 60 };

function pageOf(figures: ScaleFigures, before = ''): string {
  return scalePage({ growth: [], ...figures }, before);
}

test('a section says whether other work kept the machine busy while its figures were taken', () => {
  const busy = 'Other work kept the machine busy, with 43 % of the cores.';
  expect(pageOf({ service: { ...SERVICE, otherWork: 0.432 } })).toContain(`\n${busy}\n`);
  expect(pageOf({ service: { ...SERVICE, otherWork: 0.02 } })).toContain('\nOther work had 2 % of the cores.\n');
  expect(besideSentence([{ otherWork: 0.5 }, { otherWork: 0.01 }])).toBe(
    'Other work kept the machine busy, with 1 % to 50 % of the cores.',
  );
});

test('a section that was not measured again stays as it is, the others say when they were', () => {
  const at = Date.UTC(2026, 0, 2);
  const before = pageOf({ service: { ...SERVICE, otherWork: 0.02, at } });
  expect(before).toContain('\nMeasured on 2026-01-02. Other work had 2 % of the cores.\n');
  expect(scalePage({}, before)).toBe(before);
  const again = scalePage({ service: { ...SERVICE, startMs: [901], at: at + 86_400_000 } }, before);
  expect(again).toContain('| start until ready | 901 ms |');
  expect(again).toContain('\nMeasured on 2026-01-03. ');
  expect(again).not.toContain('900 ms');
  expect(again.match(/^## .*$/gm)).toEqual(before.match(/^## .*$/gm));
});

test('figures without a note claim nothing', () => {
  const unknown = 'Whether other work kept the machine busy was not noted.';
  expect(pageOf({ service: SERVICE })).toContain(`\n${unknown}\n`);
  expect(besideSentence([{ otherWork: 0.02 }, {}])).toBe(
    'Other work had 2 % of the cores; of some rows it was not noted.',
  );
});

test('what a stage and its children do is not other work, and waiting for the disk is no work', () => {
  const self = (own: string): string => `42 (a (b) c) R 1 2 3 0 -1 0 5 0 0 0 ${own} 20 0 1 0 9 8 7`;
  const before = ticksOf('cpu  100 20 30 800 50 1 2 3 9 9\ncpu0 1 2 3', self('10 5 3 2'));
  expect(before).toEqual({ all: 1006, busy: 156, own: 20 });
  // 1000 ticks later: 300 idle, 100 for the disk, 600 busy, of which 350 own.
  const after = ticksOf('cpu  500 70 80 1100 150 21 42 43 9 9\n', self('110 55 153 52'));
  expect(besideBetween(before, after)).toEqual({ otherWork: 0.25 });
});
