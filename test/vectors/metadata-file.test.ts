// How a published file is put together around its signed part, without a copy where that is safe.
import { expect, test } from 'vitest';
import { metadataFile, signedPart, splitMetadataFile } from '../../src/tuf/metadata-file.ts';
import type { Signature } from '../../src/tuf/metadata.ts';

const signature = (byte: string, digits = 128): Signature => ({
  keyid: byte.repeat(32),
  sig: byte.repeat(digits / 2),
});

function filled(text: string): Buffer {
  const part = signedPart(text.length);
  part.write(text);
  return part;
}

test('a file around a signed part is the same with and without the room for it', () => {
  const signatures = [signature('ab')];
  expect(metadataFile(filled('{"a":1}'), signatures)).toEqual(metadataFile(Buffer.from('{"a":1}'), signatures));
});

test('a file shares the memory of its signed part', () => {
  const signed = filled('{"a":1}');
  expect(metadataFile(signed, [signature('ab')]).buffer).toBe(signed.buffer);
});

test('a second file of the same signed part leaves the first as it is', () => {
  const signed = filled('{"a":1}');
  const first = metadataFile(signed, [signature('ab')]);
  const second = metadataFile(signed, [signature('cd')]);
  expect(splitMetadataFile(first).signatures).toEqual([signature('ab')]);
  expect(splitMetadataFile(second).signatures).toEqual([signature('cd')]);
});

test('signatures that do not fit behind the signed part still get a whole file', () => {
  const many = Array.from({ length: 9 }, (_, i) => signature(`0${i}`));
  const { signed, signatures } = splitMetadataFile(metadataFile(filled('{"a":1}'), many));
  expect(Buffer.from(signed).toString()).toBe('{"a":1}');
  expect(signatures).toEqual(many);
});
