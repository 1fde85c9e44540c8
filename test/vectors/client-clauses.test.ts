// The client workflow of the TUF specification (section 5, version 1.0.34) as a list of rules in our own words. Each is
// enforced by a line of src/client that cites it, and has a test whose title begins with its number.
import { expect, test } from 'vitest';
import { readText, trackedFiles } from '../support/source-tree.ts';

const RULES: Readonly<Record<string, string>> = {
  '5': 'an update that fails leaves the client able to update later',
  '5.1': 'the time of an update is taken once, when it begins',
  '5.2': 'the update starts from a root that was trusted before, expired or not',
  '5.3.1': 'every root between the trusted one and the newest is followed',
  '5.3.2': 'N is the version of the trusted root',
  '5.3.3': 'root N+1 is asked for by number, bounded in bytes; a missing one ends the chain, and so does a number of them',
  '5.3.4': 'root N+1 is signed by a threshold of the keys of root N and of its own, each key counted once',
  '5.3.5': 'the version in root N+1 is N+1',
  '5.3.6': 'a root on the way may have expired',
  '5.3.7': 'root N+1 is the trusted root from here on',
  '5.3.8': 'it is written to disk',
  '5.3.9': 'and so on',
  '5.3.10': 'the last root has not expired',
  '5.3.11': 'when keys of timestamp or snapshot were rotated, what they signed is forgotten',
  '5.3.12': 'the last root says whether file names carry versions and hashes',
  '5.4.1': 'timestamp is asked for by its plain name, bounded in bytes',
  '5.4.2': 'timestamp is signed by a threshold of its keys',
  '5.4.3.1': 'the version of timestamp does not go back; the same version changes nothing',
  '5.4.3.2': 'the version of snapshot in timestamp does not go back',
  '5.4.4': 'timestamp has not expired',
  '5.4.5': 'timestamp is written to disk',
  '5.5.1': 'snapshot is asked for by its version, bounded in bytes by timestamp or by a limit',
  '5.5.2': 'snapshot has the hashes that timestamp gives',
  '5.5.3': 'snapshot is signed by a threshold of its keys',
  '5.5.4': 'snapshot has the version that timestamp gives',
  '5.5.5': 'no role in snapshot goes back, none leaves',
  '5.5.6': 'snapshot has not expired',
  '5.5.7': 'snapshot is written to disk',
  '5.6.1': 'targets is asked for by its version, bounded in bytes by snapshot or by a limit',
  '5.6.2': 'targets has the hashes that snapshot gives',
  '5.6.3': 'targets is signed by a threshold of its keys',
  '5.6.4': 'targets has the version that snapshot gives',
  '5.6.5': 'targets has not expired',
  '5.6.6': 'targets is written to disk',
  '5.6.7': 'a target is searched depth first from targets; what does not verify on the way ends the search',
  '5.6.7.1': 'each role is visited once, and not more than a number of them',
  '5.6.7.2': 'delegations are followed in order of appearance',
  '5.6.7.2.1': 'a terminating delegation ends the search',
  '5.6.7.2.2': 'the first answer ends the search',
  '5.7.1': 'a target file is verified against its entry',
  '5.7.2': 'without an entry there is no such target',
  '5.7.3': 'a target file is bounded by the length in its entry, named by its hash, and has that hash',
};

const numbersIn = (text: string): string[] => text.match(/\d+(?:\.\d+)*/g) ?? [];

/** The numbers at the beginning of each title, and of each row that is one. */
function testedIn(file: string): string[] {
  const titles = readText(file).matchAll(/(?:test\(|\]\)\(|^ *\[)'((?:[45](?:\.\d+)*(?:, )?)+)[:']/gm);
  return [...titles].flatMap(([, numbers = '']) => numbersIn(numbers));
}

const testFiles = trackedFiles().filter((name) => /^test\/vectors\/client-(?!clauses).*\.test\.ts$/.test(name));
const tested = new Set(testFiles.flatMap(testedIn));

const cited = new Set(
  trackedFiles()
    .filter((name) => name.startsWith('src/client/') && name.endsWith('.ts'))
    .flatMap((name) => [...readText(name).matchAll(/TUF ((?:\d+(?:\.\d+)*(?:, | and | to )?)+)/g)])
    .flatMap(([, numbers = '']) => numbersIn(numbers)),
);

test.each(Object.entries(RULES))('%s, %s: has a test that names it, and is cited where it is enforced', (clause) => {
  expect(tested).toContain(clause);
  // A section by itself is about the whole of it: no single line enforces it.
  if (clause !== '5') expect(cited).toContain(clause);
});

test('no title names a clause of section 5 that is not in the list', () => {
  const sections = [...tested].filter((clause) => clause.startsWith('5') && !(clause in RULES));
  expect(sections).toEqual([]);
});
