// Keys on paper: every choice of enough shares gives the key back; nothing else does.
import { createHash, randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { FileKey } from '../../keys-ceremony/key-file.ts';
import {
  PAPER_ALGORITHMS,
  checkFits,
  joinShares,
  linesOfWholeShare,
  readShare,
  readShareLine,
  splitKey,
  SHARE_LINES,
  type Share,
} from '../../keys-ceremony/paper-backup.ts';
import { sharePageHtml, sharePageText } from '../../keys-ceremony/paper-backup-page.ts';
import { PHRASE_WORDS } from '../../keys-ceremony/phrase-words.ts';

function read(lines: readonly string[]): Share {
  return readShare(lines.map((line, index) => readShareLine(line, index)));
}

async function made(shares = 3, threshold = 2, algorithm: (typeof PAPER_ALGORITHMS)[number] = 'ed25519') {
  const key = await FileKey.generate(algorithm, randomBytes);
  return { key, pages: await splitKey(key, { shares, threshold }, randomBytes) };
}

const RUNS = process.env['SLOW'] === '1' ? 500 : 25;

describe('paper backup', () => {
  test('any threshold of the shares, in any order, gives the key that signs', async () => {
    const cases = fc
      .tuple(
        fc.integer({ min: 2, max: 7 }),
        fc.constantFrom(...PAPER_ALGORITHMS),
        fc.infiniteStream(fc.nat()),
      )
      .chain(([shares, algorithm]) =>
        fc.tuple(
          fc.constant(shares),
          fc.integer({ min: 2, max: shares }),
          fc.constant(algorithm),
          fc.shuffledSubarray(
            Array.from({ length: shares }, (_, index) => index),
            { minLength: shares },
          ),
        ),
      );
    await fc.assert(
      fc.asyncProperty(cases, async ([shares, threshold, algorithm, order]) => {
        const { key, pages } = await made(shares, threshold, algorithm);
        const chosen = order.slice(0, threshold).map((index) => read(pages[index]!));
        const restored = await joinShares(chosen);
        expect(restored.keyid).toBe(key.keyid);
        expect(restored.algorithm).toBe(algorithm);
        const message = Buffer.from('root');
        expect((await restored.sign(message)).keyid).toBe((await key.sign(message)).keyid);
        await expect(joinShares(chosen.slice(1))).rejects.toMatchObject({ code: 'share-invalid' });
      }),
      { numRuns: RUNS },
    );
  });

  test('one wrong word is found in its line', async () => {
    const { pages } = await made();
    const [page = []] = pages;
    await fc.assert(
      fc.asyncProperty(
        fc.nat(SHARE_LINES - 1),
        fc.nat(6),
        fc.integer({ min: 1, max: 255 }),
        (line, at, shift) => {
          const words = page[line]!.split(' ');
          const byte = PHRASE_WORDS.indexOf(words[at]!);
          words[at] = PHRASE_WORDS[(byte + shift) % 256]!;
          let fits = true;
          try {
            readShareLine(words.join(' '), line);
          } catch {
            fits = false;
          }
          // One in 256 slips through its line; the checksum of the share has it then.
          if (fits) {
            const lines = page.with(line, words.join(' '));
            expect(() => read(lines)).toThrow('checksum');
          }
          return Promise.resolve();
        },
      ),
      { numRuns: RUNS * 8 },
    );
  });

  test('what does not belong together is refused by name', async () => {
    const [one, other] = [await made(), await made()];
    const again = await splitKey(one.key, { shares: 3, threshold: 2 }, randomBytes);
    const first = read(one.pages[0]!);
    const refuse = (share: Share): void => {
      checkFits(share, [first]);
    };
    expect(() => {
      refuse(read(other.pages[1]!));
    }).toThrow('is a share of key');
    expect(() => {
      refuse(read(again[1]!));
    }).toThrow('another backup');
    expect(() => {
      refuse(read(one.pages[0]!));
    }).toThrow('was given before');
    expect(() => {
      refuse(read(one.pages[1]!));
    }).not.toThrow();
    const mixed = [one.pages[0]![0]!, ...other.pages[0]!.slice(1)];
    expect(() => read(mixed)).toThrow('checksum');
    const swapped = [one.pages[0]![1]!, one.pages[0]![0]!, ...one.pages[0]!.slice(2)];
    expect(() => read(swapped)).toThrow('another line');
    expect(() => readShareLine('apple apple', 0)).toThrow('line 1 has 2 words, expected 7');
    const error = (() => {
      try {
        readShareLine('apple apple aple apple apple apple apple', 2);
      } catch (caught) {
        return caught as Error;
      }
      return new Error('accepted');
    })();
    expect(error.message).toBe('line 3, word 3 is not in the list of words');
  });

  test('a made-up share is noticed although every checksum is right', async () => {
    const { pages } = await made();
    const share = read(pages[0]!);
    const forged = { ...read(pages[1]!), bytes: Uint8Array.from(createHash('sha256').update('x').digest()) };
    const bytes = Uint8Array.from([...forged.bytes, 77]);
    await expect(joinShares([share, { ...forged, bytes }])).rejects.toMatchObject({ code: 'share-invalid' });
  });

  test.each([
    [1, 1],
    [17, 2],
    [3, 1],
    [3, 4],
    [Number.NaN, 2],
    [2.5, 2],
  ])('%d shares with threshold %d are refused', async (shares, threshold) => {
    await expect(made(shares, threshold)).rejects.toMatchObject({ code: 'usage' });
  });

  test('the pages hold the words, alone and as a QR code', async () => {
    const { key, pages } = await made();
    const [lines = []] = pages;
    const page = {
      name: 'holder-1',
      keyid: key.keyid,
      number: 1,
      shares: 3,
      threshold: 2,
      date: '2027-01-15',
      lines,
    };
    const text = sharePageText(page);
    const html = sharePageHtml(page);
    for (const line of lines) {
      expect(text).toContain(line);
      expect(html).toContain(`<li>${line}</li>`);
    }
    expect(text.endsWith('\f')).toBe(true);
    expect(html).toContain('<svg');
    expect(linesOfWholeShare(lines.join(' '))).toEqual(lines);
    expect(linesOfWholeShare(lines.slice(1).join(' '))).toBeUndefined();
  });
});
