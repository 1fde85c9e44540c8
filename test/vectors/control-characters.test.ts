// Canonical JSON leaves control characters as they are, JSON forbids them: a published file must be both.
import { expect, test } from 'vitest';
import { parseEventsBody } from '../../src/http/event-body.ts';
import { sha256Hex } from '../../src/lib/bytes.ts';
import { parseRoot } from '../../src/tuf/parse-root.ts';
import { foundRepository } from '../support/repository.ts';

test('a root with a PEM key is JSON for every client, and its signatures cover the canonical bytes', async () => {
  const { rootBytes, bundle, signer } = await foundRepository({ algorithm: 'ecdsa-p256' });
  const file = JSON.parse(rootBytes.toString()) as {
    signed: { keys: Record<string, { keyval: { public: string } }> };
  };
  expect(file.signed.keys[signer.keyid]?.keyval.public).toContain('\n-----END PUBLIC KEY-----');
  expect(parseRoot(rootBytes).signedBytes).toEqual(bundle.roots[0]?.signedBytes);
});

test('custom data with a line end in a string is refused: a bin with it would be no JSON', () => {
  const event = (note: string): Buffer =>
    Buffer.from(
      JSON.stringify({
        events: [
          {
            id: 'a',
            changes: [
              {
                op: 'add',
                path: 'a.whl',
                length: 1,
                hashes: { sha256: sha256Hex('a') },
                custom: { deep: [note] },
              },
            ],
          },
        ],
      }),
    );
  const parse = (bytes: Buffer): unknown => parseEventsBody({ format: 'json', bytes }, () => 'id');
  expect(() => parse(event('one\ntwo'))).toThrow('control character');
  expect(parse(event('one \\n two "quoted" é'))).toHaveLength(1);
});
