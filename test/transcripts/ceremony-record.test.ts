// What a ceremony leaves behind: transcripts that holders sign, and a record that is compared years later.
import { appendFile, copyFile, cp, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { statementMessage } from '../../keys-ceremony/transcript-signature.ts';
import { envelopeFile } from '../../src/tuf/envelope.ts';
import { parseBundle } from '../../src/tuf/bundle.ts';
import { parsePublicKey } from '../../src/tuf/keys.ts';
import { heldCeremony, type HeldCeremony } from '../support/held-ceremony.ts';
import { tempDir } from '../support/temp-dir.ts';

async function ok(held: HeldCeremony, ...args: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await held.run(args);
  expect(stderr.split('\n').filter((line) => line.startsWith('countersign-ceremony:'))).toEqual([]);
  expect(status).toBe(0);
  return stdout;
}

/** The metadata files as the service would publish them. */
async function publish(held: HeldCeremony, folder: string): Promise<string> {
  await mkdir(folder, { recursive: true });
  const { roots, targets, bins } = parseBundle(await readFile(join(held.folder, 'bundle.json')));
  for (const root of roots)
    await writeFile(join(folder, `${root.signed.version}.root.json`), envelopeFile(root));
  await writeFile(join(folder, `${targets.signed.version}.targets.json`), envelopeFile(targets));
  await writeFile(join(folder, `${bins.signed.version}.bins.json`), envelopeFile(bins));
  return folder;
}

test('no file of a ceremony holds a secret', async () => {
  const held = await heldCeremony(await tempDir());
  await ok(held, 'record');
  await ok(held, 'transcript', 'sign', '--key', 'holder-1');
  const names = await readdir(held.folder, { recursive: true, withFileTypes: true });
  const files = names.filter((entry) => entry.isFile());
  expect(files.length).toBeGreaterThan(10);
  // Seeds of 32 bytes; the shorter random values are public.
  const secrets = held.seeds.filter((hex) => hex.length === 64);
  expect(secrets.length).toBeGreaterThanOrEqual(8);
  for (const entry of files) {
    const bytes = await readFile(join(entry.parentPath, entry.name));
    for (const hex of secrets) {
      expect(bytes.includes(hex), entry.name).toBe(false);
      const raw = Buffer.from(hex, 'hex');
      expect(bytes.includes(raw), entry.name).toBe(false);
      expect(bytes.includes(raw.toString('base64').replace(/=+$/, '')), entry.name).toBe(false);
    }
  }
});

test('the record says what was signed, and says it again', async () => {
  const held = await heldCeremony(await tempDir());
  const written = await ok(held, 'record');
  expect(written).toMatch(/^wrote record\.txt sha256 [0-9a-f]{64}\nwrote record\.html sha256 [0-9a-f]{64}\n/);
  expect(await ok(held, 'record')).toBe(written.replaceAll('wrote', 'same'));
  const text = await readFile(join(held.folder, 'record.txt'), 'utf8');
  const page = await readFile(join(held.folder, 'record.html'), 'utf8');
  for (const [name, key] of held.keys) {
    expect(text).toContain(name);
    expect(text).toContain(key.keyid);
    expect(page).toContain(key.keyid.slice(0, 8));
  }
  const built = (await readFile(join(held.folder, 'transcript.ndjson'), 'utf8'))
    .split('\n')
    .find((line) => line.includes('"built"'));
  const { payload, phrase } = JSON.parse(built ?? '{}') as { payload: string; phrase: string };
  expect(text).toContain(payload);
  for (const word of phrase.split(' ')) expect(page).toContain(`>${word}</span>`);
  expect(page.match(/<svg /g)?.length).toBe(3);
  // Nothing is loaded, nothing runs.
  expect(page).not.toMatch(/<script|<link|<img|@import|url\(|https?:(?!\/\/www\.w3\.org\/2000\/svg)/i);
  expect(page).toContain(`content="default-src 'none'; style-src 'unsafe-inline'"`);
});

test('a name out of the plan cannot become markup', async () => {
  const held = await heldCeremony(await tempDir());
  const file = join(held.folder, 'plan.yaml');
  await rm(join(held.folder, 'payload.json'));
  await rm(join(held.folder, 'one-time.json'));
  await rm(join(held.folder, 'bundle.json'));
  await rm(join(held.folder, 'signatures'), { recursive: true });
  const plan = (await readFile(file, 'utf8')).replace(/why: .*/, `why: '<b onclick="x">&amp;</b>'`);
  await writeFile(file, plan);
  await ok(held, 'one-time');
  const { phrase } = JSON.parse(await ok(held, 'build', '--json')) as { phrase: string };
  await ok(held, 'sign', '--key', 'holder-1', '--code', phrase);
  await ok(held, 'sign', '--key', 'holder-2', '--code', phrase);
  await ok(held, 'bundle');
  await ok(held, 'record');
  const page = await readFile(join(held.folder, 'record.html'), 'utf8');
  expect(page).toContain('&lt;b onclick=&quot;x&quot;&gt;&amp;amp;&lt;/b&gt;');
});

test('the record against the repository, years later', async () => {
  const held = await heldCeremony(await tempDir());
  await ok(held, 'record');
  const live = await publish(held, join(await tempDir(), 'metadata'));
  const compare = () => held.run(['record', 'verify', '.', '--repository', live]);
  const agrees = await compare();
  expect(agrees.stdout).toBe(
    'same     1.root.json\nsame     1.targets.json\nsame     1.bins.json\n' +
      'roots follow one another up to version 1\nthe repository agrees with the record\n',
  );
  expect(agrees.status).toBe(0);

  // Its superseded files may be gone.
  await rm(join(live, '1.targets.json'));
  expect((await compare()).stdout).toContain('gone     1.targets.json\n');
  expect((await compare()).status).toBe(0);

  // A root that does not follow.
  await copyFile(join(live, '1.root.json'), join(live, '2.root.json'));
  const forged = await compare();
  expect(forged.stdout).toMatch(/^roots do not follow one another: root 2: /m);
  expect(forged.status).toBe(1);
  await rm(join(live, '2.root.json'));

  await appendFile(join(live, '1.root.json'), ' ');
  const changed = await compare();
  expect(changed.stdout).toMatch(
    /^differs {2}1\.root\.json: sha256 [0-9a-f]{64}, the record says [0-9a-f]{64}$/m,
  );
  expect(changed.status).toBe(1);
  await rm(join(live, '1.root.json'));
  const missing = await compare();
  expect(missing.stdout).toContain('missing  1.root.json\n');
  expect(missing.status).toBe(1);
});

test('holders sign the transcripts of all computers', async () => {
  const held = await heldCeremony(await tempDir());
  const second = join(await tempDir(), 'second');
  // As it stands on a stick, with the transcript of the first.
  await cp(held.folder, second, { recursive: true });
  expect((await held.run(['verify'], [], second)).status).toBe(0);
  expect(await ok(held, 'transcript', 'merge', second)).toMatch(
    /^added transcript\.[0-9a-f]{16}\.ndjson\nhad transcript\.ndjson\n$/m,
  );
  expect((await held.run(['verify'], [], second)).status).toBe(0);
  // It has grown.
  expect(await ok(held, 'transcript', 'merge', second)).toMatch(/^added transcript\./);
  expect(await ok(held, 'transcript', 'merge', second)).toMatch(/^had transcript\./);

  expect(await ok(held, 'transcript', 'sign', '--key', 'holder-1')).toMatch(
    /^signed the transcripts as holder-1: /,
  );
  expect(await ok(held, 'transcript', 'sign', '--key', 'holder-1')).toMatch(/^had signed the transcripts/);
  await ok(held, 'transcript', 'sign', '--key', 'holder-2');
  const verified = await ok(held, 'transcript', 'verify');
  expect(verified).toMatch(/^signed by holder-1, .*\nsigned by holder-2, .*\nnot signed by holder-3, /m);

  const other = await held.run(['transcript', 'sign', '--key', 'online']);
  expect(other.stderr).toContain('is of no holder of this ceremony');
});

test('after a signature not even the last line can be cut off', async () => {
  const held = await heldCeremony(await tempDir());
  await ok(held, 'transcript', 'sign', '--key', 'holder-1');
  const file = join(held.folder, 'transcript.ndjson');
  const lines = (await readFile(file, 'utf8')).trimEnd().split('\n');
  const statement = lines.length - 1;
  await writeFile(
    file,
    lines
      .slice(0, statement)
      .map((line) => `${line}\n`)
      .join(''),
  );
  // Only the line about the signature itself is younger than the signature.
  await ok(held, 'transcript', 'verify');
  await writeFile(
    file,
    lines
      .slice(0, statement - 1)
      .map((line) => `${line}\n`)
      .join(''),
  );
  const cut = await held.run(['transcript', 'verify']);
  expect(cut.stderr).toContain(`transcript.ndjson has ${statement - 1} lines`);
  expect(cut.status).toBe(1);
});

test('a signature under a transcript is none under metadata, and the other way round', async () => {
  const held = await heldCeremony(await tempDir());
  await ok(held, 'transcript', 'sign', '--key', 'holder-1');
  const key = held.keys.get('holder-1');
  if (key === undefined) throw new Error('no holder-1');
  const [name = ''] = await readdir(join(held.folder, 'attestations'));
  const attestation = JSON.parse(await readFile(join(held.folder, 'attestations', name), 'utf8')) as {
    ceremony: string;
    transcripts: { id: string; lines: number; head: string }[];
    sig: string;
  };
  const { roots } = parseBundle(await readFile(join(held.folder, 'bundle.json')));
  const [root] = roots;
  if (root === undefined) throw new Error('no root');
  const verifier = parsePublicKey(key.publicKey);
  const message = statementMessage({ ceremony: attestation.ceremony, transcripts: attestation.transcripts });
  expect(await verifier.verify(message, Buffer.from(attestation.sig, 'hex'))).toBe(true);
  expect(await verifier.verify(root.signedBytes, Buffer.from(attestation.sig, 'hex'))).toBe(false);
  // Whatever metadata is, its signed bytes begin with a brace.
  expect(message.subarray(0, 1).toString()).not.toBe('{');

  // A signature made for root, put under the transcripts.
  const rootSignature = root.signatures.find(({ keyid }) => keyid === key.keyid)?.sig ?? '';
  const forged = JSON.stringify({ ...attestation, sig: rootSignature });
  await rm(join(held.folder, 'attestations', name));
  await writeFile(join(held.folder, 'attestations', name), forged);
  const refused = await held.run(['transcript', 'verify']);
  expect(refused.stderr).toContain('under the transcripts does not verify');
  // Put among the signatures under metadata it is refused as well.
  const place = join(held.folder, 'signatures', `root.${key.keyid}.json`);
  await rm(place);
  await writeFile(place, JSON.stringify(attestation));
  const mixed = await held.run(['verify']);
  expect(mixed.status).toBe(1);
  expect(mixed.stderr).toContain(`signatures/root.${key.keyid}.json`);
});

test('the record counts the computers that made the payload', async () => {
  const held = await heldCeremony(await tempDir());
  const again = async (): Promise<string> => {
    for (const name of ['record.txt', 'record.html']) await rm(join(held.folder, name), { force: true });
    return ok(held, 'record');
  };
  const copy = async (name: string): Promise<string> => {
    const folder = join(await tempDir(), name);
    await cp(held.folder, folder, { recursive: true });
    return folder;
  };
  const warning = 'warning: the payload was made on one computer only';
  expect(await again()).toContain(warning);
  expect(await readFile(join(held.folder, 'record.txt'), 'utf8')).toContain('made on         1 computer\n');
  // Two terminals are one computer.
  const second = await copy('second');
  expect((await held.run(['build'], [], second)).status).toBe(0);
  await ok(held, 'transcript', 'merge', second);
  expect(await again()).toContain(warning);
  // Another computer that has not made the payload is not counted.
  const third = await copy('third');
  expect((await held.run(['verify'], [], third, 'another')).status).toBe(0);
  await ok(held, 'transcript', 'merge', third);
  expect(await again()).toContain(warning);

  expect((await held.run(['build'], [], third, 'another')).status).toBe(0);
  await ok(held, 'transcript', 'merge', third);
  expect(await again()).not.toContain('warning');
  expect(await readFile(join(held.folder, 'record.txt'), 'utf8')).toContain('made on         2 computers\n');
  expect(await readFile(join(held.folder, 'record.html'), 'utf8')).toContain('<dd>2 computers</dd>');
});

test('two terminals on one computer: each folder has a transcript of its own', async () => {
  const held = await heldCeremony(await tempDir());
  const second = join(await tempDir(), 'second');
  await cp(held.folder, second, { recursive: true });
  // Both go on from the same line.
  for (const folder of [held.folder, second]) expect((await held.run(['verify'], [], folder)).status).toBe(0);
  await ok(held, 'transcript', 'merge', second);
  await ok(held, 'record');
  await ok(held, 'transcript', 'sign', '--key', 'holder-1');
  expect(await ok(held, 'transcript', 'verify')).toMatch(/^transcript.*\ntranscript.*\nsigned by holder-1/);
  const record = await readFile(join(held.folder, 'record.txt'), 'utf8');
  const computers = [...record.matchAll(/^ {2}computer {4}([0-9a-f]{16})$/gm)].map(([, id]) => id);
  // The record does not hide that it was one.
  expect(computers).toHaveLength(2);
  expect(new Set(computers).size).toBe(1);
  // And the second one takes over what the first one did.
  expect((await held.run(['transcript', 'merge', held.folder], [], second)).stdout).toMatch(
    /^added transcript\.[0-9a-f]{16}\.ndjson$/m,
  );
});

test('transcripts that contradict each other are not merged', async () => {
  const held = await heldCeremony(await tempDir());
  const second = join(await tempDir(), 'second');
  const file = join(held.folder, 'transcript.ndjson');
  const before = await readFile(file);
  await ok(held, 'verify');
  await cp(held.folder, second, { recursive: true });
  await writeFile(file, before);
  await ok(held, 'record');
  const refused = await held.run(['transcript', 'merge', second]);
  expect(refused.stderr).toMatch(
    /line \d+ of transcript\.ndjson has SHA-256 [0-9a-f]{64}, in .* [0-9a-f]{64}/,
  );
  expect(refused.status).toBe(1);
});
