// What every signer must do (src/signing/signer.ts says it in prose).
import { describe, expect, test } from 'vitest';
import { utf8 } from '../../src/lib/bytes.ts';
import type { Signer } from '../../src/signing/signer.ts';
import { keyId, parsePublicKey } from '../../src/tuf/keys.ts';

export function signerContract(name: string, open: () => Promise<Signer>): void {
  describe(`signer: ${name}`, () => {
    test('names its key as TUF does', async () => {
      const signer = await open();
      expect(signer.keyid).toBe(keyId(signer.publicKey));
      await signer.close();
    });

    test('signs each message, in order, so that a client accepts it', async () => {
      const signer = await open();
      const key = parsePublicKey(signer.publicKey);
      const messages = Array.from({ length: 50 }, (_, i) => utf8(`message ${i} `.repeat(i * 100)));
      const signatures = await signer.sign(messages);
      expect(signatures).toHaveLength(messages.length);
      const valid = await Promise.all(signatures.map((signature, i) => key.verify(messages[i]!, signature)));
      expect(valid).toEqual(messages.map(() => true));
      expect(await key.verify(messages[1]!, signatures[2]!)).toBe(false);
      await signer.close();
    });

    test('signs no message, an empty one, and several batches at once', async () => {
      const signer = await open();
      const key = parsePublicKey(signer.publicKey);
      expect(await signer.sign([])).toEqual([]);
      const batches = await Promise.all([1, 2, 3].map(() => signer.sign([new Uint8Array(0), utf8('b')])));
      for (const [empty, b] of batches) {
        expect(await key.verify(new Uint8Array(0), empty!)).toBe(true);
        expect(await key.verify(utf8('b'), b!)).toBe(true);
      }
      await signer.close();
    });

    test('refuses to sign when closed; closing twice is no error', async () => {
      const signer = await open();
      await signer.close();
      await signer.close();
      await expect(signer.sign([utf8('x')])).rejects.toMatchObject({ code: 'signer-unavailable' });
    });
  });
}
