// Links of pages as installers see them: one reader for the proxy, for back-signing and for following an index.
import { describe, expect, test } from 'vitest';
import { filesOf, projectsOf } from '../../src/backsign/sources/index-page.ts';
import { anchorsOf, hashOf } from '../../src/simple/html-anchors.ts';
import { parseHtmlPage } from '../../src/simple/page-html.ts';

const SHA = 'ab'.repeat(32);
const PAGES: [what: string, html: string, hrefs: string[]][] = [
  ['double, single and no quotes', `<a href="a-1.whl"><a href='b-1.whl'><a href=c-1.whl>`, ['a-1.whl', 'b-1.whl', 'c-1.whl']],
  ['names in any case, other attributes, line breaks', '<A rel=x\n  HREF="a-1.whl" data-yanked >', ['a-1.whl']],
  ['references', '<a href="a-1.whl?x=1&amp;y=&#50;&#x33;">', ['a-1.whl?x=1&y=23']],
  ['the first of two attributes counts', '<a href="a-1.whl" href="evil-1.whl">', ['a-1.whl']],
  ['comments are not on the page', '<!-- <a href="old-1.whl"> --><a href="a-1.whl"><!--><a href="b-1.whl"><!-- <a href="c">', ['a-1.whl', 'b-1.whl']],
  ['elements that only begin so', '<abbr href="x"><a><area href="y"><a href="a-1.whl">', ['a-1.whl']],
  ['a quote that never ends', '<a href="a-1.whl', []],
];

describe('both readers see the same links', () => {
  test.each(PAGES)('%s', (_, html, expected) => {
    const hrefs = [...anchorsOf(html)].flatMap((attributes) => attributes.get('href') ?? []);
    expect(hrefs.filter((href) => href !== '')).toEqual(expected);
    const answer = { text: html, isJson: false, url: 'https://index.example/simple/a/' };
    expect(filesOf(answer).map(({ href }) => href)).toEqual(expected);
    expect(parseHtmlPage(html, 'a', 'page').files.map(({ url }) => url)).toEqual(expected);
  });
});

test('hashes stand in the fragment, alone or among others', () => {
  const html = `<a href="a-1.whl#sha256=${SHA.toUpperCase()}"><a href="b-1.whl#egg=b&sha256=${SHA}"><a href="c-1.whl#md5=${'0'.repeat(32)}">`;
  const answer = { text: html, isJson: false, url: 'https://index.example/simple/a/' };
  expect(filesOf(answer).map(({ sha256 }) => sha256)).toEqual([SHA, SHA, undefined]);
  expect(hashOf(`sha256=${SHA}x`)).toEqual({});
});

test('a list of projects', () => {
  const text = '<a href="/simple/b%2Dc/">b-c</a><a href="../">up</a><a href="a/">a</a><a href="%zz/">broken</a>';
  const { projects } = projectsOf({ text, isJson: false, url: 'https://index.example/simple/' });
  expect(projects).toEqual(['a', 'b-c']);
});

test('a hostile page takes time in proportion to its length', () => {
  for (const piece of ['<a ', '<!--', '<a href="', "<a b='", '<a b=c ', '&#', '<a href=x>']) {
    expect([...anchorsOf(piece.repeat(30_000))].length).toBeLessThanOrEqual(30_000);
  }
}, 20_000);
