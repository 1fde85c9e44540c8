// A disk that is full, or a power cut, between the file of a step and the line about it: the step is repeated, changes
// nothing but the transcript, and the record is complete.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { foundCeremony, type Computer } from '../support/ceremony-people.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Steps on record, without the first line. */
async function steps(computer: Computer): Promise<string[]> {
  const lines = (await computer.read('transcript.ndjson')).toString().trimEnd().split('\n');
  return lines.slice(1).map((line) => (JSON.parse(line) as { step: string }).step);
}

/** Takes the last lines away, as if they had never been written. */
async function loseLines(computer: Computer, count: number): Promise<void> {
  const lines = (await computer.read('transcript.ndjson')).toString().trimEnd().split('\n');
  await computer.write('transcript.ndjson', `${lines.slice(0, -count).join('\n')}\n`);
}

test('a step whose line is missing is repeated, and writes the line only', async () => {
  const office = await foundCeremony(join(await tempDir(), 'office'), 'genesis');
  await office.ask('one-time');
  const oneTime = await office.read('one-time.json');
  // Of two lines, one and then both.
  for (const lost of [1, 2]) {
    await loseLines(office, lost);
    expect((await office.run(['one-time'])).stdout).toBe(
      'one-time.json was there, and is now on record\nnext: build\n',
    );
    expect(await steps(office)).toEqual(['one-time', 'one-time']);
  }
  expect((await office.refused('one-time')).code).toBe('file-exists');
  expect(await office.read('one-time.json')).toEqual(oneTime);

  const { phrase } = (await office.ask('build')) as { phrase: string };
  const sign = ['sign', '--key', 'holder-1', '--code', phrase] as const;
  await office.ask(...sign);
  const before = await steps(office);
  await loseLines(office, 1);
  expect(await office.ask(...sign)).toMatchObject({ signed: [{ state: 'there' }] });
  expect(await steps(office)).toEqual(before);
  await office.ask(...sign);
  expect(await steps(office)).toEqual(before);
});

test('a plan without one-time keys has nothing to make', async () => {
  const office = await foundCeremony(join(await tempDir(), 'office'), 'genesis', {
    targets: '{ holders: [holder-1, holder-2], threshold: 2, expires-in: 365d }',
    bins: '{ holders: [holder-1, holder-2], threshold: 2, expires-in: 365d, count: 4, format: succinct }',
  });
  const { status, stdout } = await office.run(['one-time']);
  expect(stdout).toBe('nothing to do: no role of this plan has one-time keys\nnext: build\n');
  expect(status).toBe(0);
});
