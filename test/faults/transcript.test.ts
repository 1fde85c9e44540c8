// The transcript of a ceremony against kill -9, two processes, a full disk and whoever would like it to say otherwise.
import { readdir, readFile, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { verifyTranscript } from '../../keys-ceremony/transcript-chain.ts';
import type { TranscriptStep } from '../../keys-ceremony/transcript-steps.ts';
import { Transcript, TRANSCRIPT_FILE, type TranscriptSource } from '../../keys-ceremony/transcript.ts';
import { hasCode } from '../../src/lib/errors.ts';
import { runChild } from '../support/child.ts';
import { NOW } from '../support/genesis-repository.ts';
import { tempDir } from '../support/temp-dir.ts';

/** Each process compiles its modules first, which takes seconds on a busy computer. */
const PROCESSES = { timeout: 120_000 };
const HASH = 'b'.repeat(64);
const ROUNDS = process.env['SLOW'] === undefined ? 2 : 20;
/** Every byte with SLOW=1; else one in so many. */
const STRIDE = process.env['SLOW'] === undefined ? 13 : 1;
const SOURCE: TranscriptSource = {
  clock: { now: () => NOW, sleep: () => Promise.resolve() },
  random: (bytes) => new Uint8Array(bytes).fill(7),
  ceremony: 'trial',
  computer: '0123456789abcdef',
  folder: 'fedcba9876543210',
  version: '1.0.0',
  tool: 'a'.repeat(64),
};
const MERGED = {
  step: 'merged',
  file: 'signatures/root.json',
  sha256: HASH,
} as const satisfies TranscriptStep;

async function written(lines: number): Promise<{ folder: string; path: string; bytes: Buffer }> {
  const folder = await tempDir();
  const transcript = new Transcript(folder, SOURCE);
  for (let i = 1; i < lines; i++) {
    await transcript.append({ ...MERGED, file: `signatures/root.${i}.json` });
  }
  const path = join(folder, TRANSCRIPT_FILE);
  return { folder, path, bytes: await readFile(path) };
}

function refusal(bytes: Uint8Array): string {
  try {
    verifyTranscript(bytes);
  } catch (error) {
    if (hasCode(error, 'transcript-invalid')) return error.message;
    throw error;
  }
  return 'accepted';
}

test('every line names the one before, and the head stands for all of them', async () => {
  const { folder, bytes } = await written(4);
  const { lines, head, torn } = verifyTranscript(bytes);
  expect(lines.map(({ n, step }) => `${n} ${step}`)).toEqual(['1 begun', '2 merged', '3 merged', '4 merged']);
  expect(torn).toBeUndefined();
  expect(await new Transcript(folder, SOURCE).append(MERGED)).not.toBe(head);
});

test('the end may be cut off at every byte: the next step accounts for what was lost', async () => {
  const { folder, path, bytes } = await written(3);
  const start = verifyTranscript(bytes).lines.length;
  expect(start).toBe(3);
  for (let length = 0; length < bytes.length; length += STRIDE) {
    await writeFile(path, bytes);
    await truncate(path, length);
    const before = verifyTranscript(bytes.subarray(0, length));
    await new Transcript(folder, SOURCE).append(MERGED);
    const after = await readFile(path);
    const { lines, torn } = verifyTranscript(after);
    expect(torn).toBeUndefined();
    expect(lines.at(-1)?.step).toBe('merged');
    // Nothing that was in the file is gone from it.
    expect(after.subarray(0, length).equals(bytes.subarray(0, length))).toBe(true);
    const recovered = lines.filter((line) => line.step === 'recovered');
    expect(recovered.length, `cut after ${length} bytes`).toBe(before.torn === undefined ? 0 : 1);
    const whole = before.torn?.whole === true;
    if (before.torn !== undefined) expect(recovered[0]?.bytes).toBe(whole ? 0 : before.torn.bytes);
  }
});

test('the repair itself may be cut off at every byte, too', async () => {
  const { folder, path, bytes } = await written(3);
  await truncate(path, bytes.length - 10);
  await new Transcript(folder, SOURCE).append(MERGED);
  const repaired = await readFile(path);
  for (let length = bytes.length - 10; length < repaired.length; length += STRIDE) {
    await writeFile(path, repaired.subarray(0, length));
    await new Transcript(folder, SOURCE).append(MERGED);
    const { lines, torn } = verifyTranscript(await readFile(path));
    expect(torn).toBeUndefined();
    expect(lines.at(-1)?.step).toBe('merged');
    expect(lines.some(({ step }) => step === 'recovered')).toBe(true);
  }
});

test('a change of any byte is found', async () => {
  const { bytes } = await written(3);
  const lastLine = bytes.lastIndexOf('\n', bytes.length - 2) + 1;
  let accepted = 0;
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at] = (bytes[at] ?? 0) ^ 0x01;
    const message = refusal(changed);
    // In the last line a change makes another head, or an end that looks cut off: the signature of the head finds it.
    if (at < lastLine - 1) expect(message, `byte ${at}`).not.toBe('accepted');
    else if (message === 'accepted') {
      accepted++;
      const before = verifyTranscript(bytes);
      const after = verifyTranscript(changed);
      expect([after.head, after.torn]).not.toEqual([before.head, before.torn]);
    }
  }
  expect(accepted).toBeGreaterThan(0);
});

test('attacks by name', async () => {
  const { bytes } = await written(4);
  const lines = bytes.toString('utf8').trimEnd().split('\n');
  const { lines: read, head } = verifyTranscript(bytes);
  const join = (...parts: (string | undefined)[]): Buffer => Buffer.from(`${parts.join('\n')}\n`);
  const [first, second, third, fourth] = lines;
  expect(refusal(join(first, third, fourth))).toContain(
    `line 2 of the transcript follows a line with SHA-256 ${read[2]?.previous ?? ''}, the line before it has ${read[1]?.previous ?? ''}`,
  );
  expect(refusal(join(first, second, fourth, third))).toContain('line 3 of the transcript follows');
  expect(refusal(join(first, second, third?.replace(HASH, 'c'.repeat(64)), fourth))).toContain(
    'line 4 of the transcript follows',
  );
  expect(refusal(join(first, second, third, fourth, fourth))).toContain('line 5 of the transcript follows');
  expect(refusal(join(second, third, fourth))).toContain('line 1 of the transcript follows');
  expect(refusal(join(first, 'nonsense', second))).toContain('line 2 of the transcript is not JSON');
  const next = (fact: string): string => `{"at":"2026-01-01T00:00:00Z",${fact}"n":5,"previous":"${head}",`;
  const merged = `"sha256":"${HASH}","step":"merged"}`;
  const extra = `{"at":"2026-01-01T00:00:00Z","file":"a","n":5,"passphrase":"x","previous":"${head}",${merged}`;
  expect(refusal(join(...lines, extra))).toContain('step merged has no fact "passphrase"');
  expect(refusal(join(...lines, `${next('"file":"../a",')}${merged}`))).toContain('fact file of step merged');
  expect(refusal(join(...lines, `${next('"file":"a", ')}${merged}`))).toContain('not canonical JSON');
  expect(refusal(join(...lines, `${next('')}"step":"begun"}`))).toContain('fact format of step begun');
  expect(refusal(join(...lines, `${next('')}"step":"sung"}`))).toContain('the step "sung" is unknown');
});

test('nothing is appended to a transcript that was changed', async () => {
  const { folder, path, bytes } = await written(3);
  const changed = Buffer.from(bytes.toString('utf8').replace('root.1.json', 'root.9.json'));
  await writeFile(path, changed);
  await expect(new Transcript(folder, SOURCE).append(MERGED)).rejects.toMatchObject({
    code: 'transcript-invalid',
  });
  expect((await readFile(path)).equals(changed)).toBe(true);
});

test('a fact of the wrong kind never reaches the file', async () => {
  const { folder, path, bytes } = await written(2);
  const secret = 'correct horse battery staple';
  const attempts = [
    { ...MERGED, sha256: secret },
    { ...MERGED, passphrase: secret },
    { step: 'accepted', check: 'swap', reason: `line\n${secret}` },
    { step: 'key-made', name: secret, keyid: HASH, made: 'file', algorithm: 'ed25519' },
  ] as unknown as TranscriptStep[];
  for (const step of attempts) {
    const error = await new Transcript(folder, SOURCE).append(step).catch((reason: unknown) => reason);
    expect(hasCode(error, 'transcript-invalid')).toBe(true);
    // Nor the message, which is printed and may be logged.
    expect((error as Error).message).not.toContain('horse');
  }
  expect((await readFile(path)).equals(bytes)).toBe(true);
});

test('a folder that came from another computer: its transcript is set aside, and a new one begun', async () => {
  const { folder, path, bytes } = await written(3);
  const other = new Transcript(folder, {
    ...SOURCE,
    computer: 'f'.repeat(16),
    random: (n) => new Uint8Array(n).fill(8),
  });
  await other.append(MERGED);
  const aside = join(folder, 'transcript.0707070707070707.ndjson');
  expect((await readFile(aside)).equals(bytes)).toBe(true);
  const begun = verifyTranscript(await readFile(path)).lines[0];
  expect(begun).toMatchObject({ step: 'begun', computer: 'f'.repeat(16), transcript: '0808080808080808' });
  // The stick goes to and fro: an older copy gives way, a longer one takes the place, a contradiction is refused.
  await writeFile(path, bytes.subarray(0, bytes.lastIndexOf('\n', bytes.length - 2) + 1));
  await other.append(MERGED);
  expect((await readFile(aside)).equals(bytes)).toBe(true);
  await writeFile(path, bytes);
  await new Transcript(folder, SOURCE).append(MERGED);
  const longer = await readFile(path);
  await other.append(MERGED);
  expect((await readFile(aside)).equals(longer)).toBe(true);
  await writeFile(path, bytes);
  await new Transcript(folder, SOURCE).append({ ...MERGED, file: 'signatures/another.json' });
  await expect(other.append(MERGED)).rejects.toMatchObject({ code: 'transcript-invalid' });
});

test('is not written through a symbolic link', async () => {
  const folder = await tempDir();
  const elsewhere = join(folder, 'elsewhere');
  await writeFile(elsewhere, '');
  await symlink(elsewhere, join(folder, TRANSCRIPT_FILE));
  await expect(new Transcript(folder, SOURCE).append(MERGED)).rejects.toMatchObject({
    code: 'ceremony-file-invalid',
  });
  expect((await stat(elsewhere)).size).toBe(0);
});

test('two processes write one chain', PROCESSES, async () => {
  const folder = await tempDir();
  const children = [1, 2].map(() => runChild('transcript-writer.ts', [folder, '10']));
  expect(await Promise.all(children.map(({ ended }) => ended))).toEqual([0, 0]);
  const { lines } = verifyTranscript(await readFile(join(folder, TRANSCRIPT_FILE)));
  expect(lines.length).toBe(21);
  const writers = new Set(lines.flatMap((line) => (line.step === 'refused' ? [line.command] : [])));
  expect(writers.size).toBe(2);
});

test(
  'a process that is killed at any moment leaves a chain that the next one continues',
  PROCESSES,
  async () => {
    const folder = await tempDir();
    const path = join(folder, TRANSCRIPT_FILE);
    let least = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const child = runChild('transcript-writer.ts', [folder, '10000']);
      await child.untilLines(round + 1);
      child.process.kill('SIGKILL');
      expect(await child.ended).toBe('SIGKILL');
      const { lines } = verifyTranscript(await readFile(path));
      // What was reported as written is there.
      least += child.lines.length;
      expect(lines.length).toBeGreaterThanOrEqual(least);
    }
    await new Transcript(folder, SOURCE).append(MERGED);
    expect(verifyTranscript(await readFile(path)).torn).toBeUndefined();
  },
);

test(
  'a lock that a killed process left is taken over, one of a living process is not',
  PROCESSES,
  async () => {
    const { folder, path } = await written(2);
    const child = runChild('transcript-writer.ts', [await tempDir(), '1']);
    await child.ended;
    await writeFile(`${path}.lock`, String(child.process.pid));
    await new Transcript(folder, SOURCE).append(MERGED);
    await writeFile(`${path}.lock`, String(process.pid));
    await expect(new Transcript(folder, SOURCE).append(MERGED)).rejects.toMatchObject({
      code: 'transcript-locked',
    });
  },
);

test('a lock that nobody could finish, and one over it, are taken over', async () => {
  const { folder, path } = await written(2);
  for (const left of [['.lock'], ['.lock', '.lock.takeover']]) {
    for (const suffix of left) await writeFile(path + suffix, '');
    await new Transcript(folder, SOURCE).append(MERGED);
    expect(await readdir(folder)).toEqual([TRANSCRIPT_FILE]);
  }
});

test('a disk that is full before the lock leaves no lock', PROCESSES, async () => {
  const { folder } = await written(2);
  expect(await runChild('transcript-writer.ts', [folder, '1'], { fileSizeLimitKiB: 0 }).ended).toBe(1);
  expect(await readdir(folder)).toEqual([TRANSCRIPT_FILE]);
});

test('a full disk stops the step, and the next one goes on from there', PROCESSES, async () => {
  const folder = await tempDir();
  // A file of the child may have 1 KiB: four lines.
  const child = runChild('transcript-writer.ts', [folder, '100'], { fileSizeLimitKiB: 1 });
  expect(await child.ended).toBe(1);
  const path = join(folder, TRANSCRIPT_FILE);
  const { lines } = verifyTranscript(await readFile(path));
  expect(lines.length).toBeGreaterThan(child.lines.length);
  await new Transcript(folder, SOURCE).append(MERGED);
  expect(verifyTranscript(await readFile(path)).lines.at(-1)?.step).toBe('merged');
});
