// Keys on a token, as the signer and the ceremony use them, with SoftHSM.
import { readdir, rename } from 'node:fs/promises';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { utf8 } from '../../src/lib/bytes.ts';
import { acquireModule } from '../../src/signing/pkcs11/module.ts';
import { generateTokenKey } from '../../src/signing/pkcs11/generate-key.ts';
import { openToken, type TokenKey } from '../../src/signing/pkcs11/token-key.ts';
import { listTokens } from '../../src/signing/pkcs11/tokens.ts';
import { parsePublicKey } from '../../src/tuf/keys.ts';
import { PIN, softHsm, startSoftHsm, type SoftHsm } from '../../scripts/interop/softhsm-tokens.ts';

const ALGORITHMS = ['ed25519', 'ecdsa-p256'] as const;

describe.skipIf(softHsm.program === undefined)(`tokens of ${softHsm.name} ${softHsm.reason}`, () => {
  let hsm: SoftHsm;
  beforeEach(async () => {
    hsm = await startSoftHsm();
    await hsm.initialize('online');
  });
  afterEach(() => hsm.remove());

  const uri = (rest = 'token=online;object=signer'): string => `pkcs11:${rest}?module-path=${hsm.modulePath}`;

  async function open(text = uri(), pin = PIN, unattended = false): Promise<TokenKey> {
    const key = await openToken(text, pin, { unattended });
    onTestFinished(() => key.close());
    return key;
  }

  test.each(ALGORITHMS)('a key of %s is born on the token, signs, and cannot leave', async (algorithm) => {
    const made = await generateTokenKey(uri(), PIN, algorithm);
    const key = await open();
    expect(key).toMatchObject({ keyid: made.keyid, publicKey: made.publicKey, serial: made.serial });
    expect(key).toMatchObject({ label: 'signer', tokenLabel: 'online' });
    const verifier = parsePublicKey(key.publicKey);
    const messages = [new Uint8Array(0), utf8('x'), new Uint8Array(541_000).fill(7)];
    const signatures = await Promise.all(messages.map((message) => key.sign(message)));
    for (const [i, message] of messages.entries()) {
      expect(await verifier.verify(message, signatures[i]!)).toBe(true);
    }
    const { object, session, api, release } = await rawKey(hsm);
    onTestFinished(release);
    const flags = api.C_GetAttributeValue(session, object, [{ type: 0x103 }, { type: 0x162 }]);
    expect(flags.map(({ value }) => value[0])).toEqual([1, 0]);
    expect(() => api.C_GetAttributeValue(session, object, [{ type: 0x11 }])).toThrow(
      'CKR_ATTRIBUTE_SENSITIVE',
    );
  });

  test('a key is found by serial and id, and by nothing that is not so', async () => {
    const made = await generateTokenKey(uri('token=online;object=signer;id=%01%FF'), PIN, 'ed25519');
    expect(made.id).toBe('01ff');
    const key = await open(uri(`serial=${made.serial};id=%01%ff`));
    expect(key.keyid).toBe(made.keyid);
    await expect(open(uri('token=offline;object=signer'))).rejects.toMatchObject({
      code: 'signer-unavailable',
      message: expect.stringContaining(
        `has no token "offline"; it sees "online" (serial ${made.serial})`,
      ) as unknown,
    });
    for (const rest of ['object=other', 'id=%02', 'object=signer;id=%02']) {
      await expect(open(uri(`token=online;${rest}`))).rejects.toMatchObject({
        code: 'config-invalid',
        message: expect.stringContaining('has no private key') as unknown,
      });
    }
  });

  test('no key replaces another with its label or its id', async () => {
    await generateTokenKey(uri('token=online;object=signer;id=%01'), PIN, 'ed25519');
    for (const rest of ['object=signer;id=%02', 'object=other;id=%01', 'object=signer']) {
      await expect(generateTokenKey(uri(`token=online;${rest}`), PIN, 'ed25519')).rejects.toMatchObject({
        code: 'file-exists',
      });
    }
    await generateTokenKey(uri('token=online;object=other;id=%02'), PIN, 'ecdsa-p256');
    expect((await open(uri('token=online;object=other'))).mechanism).toBe('CKM_ECDSA');
  });

  test('two tokens with one label are told apart by serial only', async () => {
    await hsm.initialize('online');
    await expect(generateTokenKey(uri(), PIN, 'ed25519')).rejects.toMatchObject({ code: 'config-invalid' });
    const tokens = await listTokens(hsm.modulePath);
    expect(tokens.map(({ label, pin }) => [label, pin])).toEqual([
      ['online', 'ready'],
      ['online', 'ready'],
    ]);
    expect(tokens[0]!.algorithms).toEqual(['ed25519', 'ecdsa-p256']);
    const made = await generateTokenKey(uri(`serial=${tokens[1]!.serial};object=signer`), PIN, 'ed25519');
    expect(made.serial).toBe(tokens[1]!.serial);
  });

  test('a wrong PIN is tried once, named, and not shown; a service then leaves the token alone', async () => {
    await generateTokenKey(uri(), PIN, 'ed25519');
    const wrong = '55512345';
    const error = await openToken(uri(), wrong).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      code: 'secret-unreadable',
      message: expect.stringContaining('the PIN is wrong; it is not tried again') as unknown,
    });
    const { message, stack, cause } = error as Error;
    expect(`${message} ${stack ?? ''} ${String(cause)}`).not.toContain(wrong);
    expect((await listTokens(hsm.modulePath))[0]!.pin).toBe('wrong-try');
    // Even the right PIN: a service cannot know that it is.
    await expect(open(uri(), PIN, true)).rejects.toMatchObject({
      code: 'secret-unreadable',
      message: expect.stringContaining('none is tried') as unknown,
    });
    await (await open(uri(), PIN)).close();
    await (await open(uri(), PIN, true)).sign(utf8('x'));
  });

  test('a token that goes and comes back signs again', async () => {
    await generateTokenKey(uri(), PIN, 'ed25519');
    const key = await open(uri(), PIN, true);
    const away = `${hsm.folder}-away`;
    const [token = ''] = await readdir(hsm.folder);
    await rename(path.join(hsm.folder, token), away);
    await loseSessions(hsm);
    await expect(key.sign(utf8('x'))).rejects.toMatchObject({ code: 'signer-unavailable' });
    await expect(key.sign(utf8('x'))).rejects.toMatchObject({
      code: 'signer-unavailable',
      message: expect.stringContaining('has no token "online"') as unknown,
    });
    await rename(away, path.join(hsm.folder, token));
    const signature = await key.sign(utf8('x'));
    expect(await parsePublicKey(key.publicKey).verify(utf8('x'), signature)).toBe(true);
  });

  test('sessions that the token has dropped are opened again', async () => {
    await generateTokenKey(uri(), PIN, 'ecdsa-p256');
    const key = await open(uri(), PIN, true);
    await key.sign(utf8('x'));
    await loseSessions(hsm);
    const results = await Promise.allSettled(Array.from({ length: 6 }, () => key.sign(utf8('x'))));
    expect(results.some(({ status }) => status === 'rejected')).toBe(true);
    await Promise.all(Array.from({ length: 6 }, () => key.sign(utf8('x'))));
  });

  test('another key under the same name is not used', async () => {
    await generateTokenKey(uri(), PIN, 'ed25519');
    const key = await open(uri(), PIN, true);
    const { object, session, api, release } = await rawKey(hsm);
    for (const one of [object, ...publicKeys(api, session)]) api.C_DestroyObject(session, one);
    release();
    const other = await generateTokenKey(uri(), PIN, 'ed25519');
    await loseSessions(hsm);
    await expect(key.sign(utf8('x'))).rejects.toMatchObject({ code: 'signer-unavailable' });
    await expect(key.sign(utf8('x'))).rejects.toMatchObject({
      code: 'signer-unavailable',
      message: expect.stringContaining(`has key ${other.keyid} in the place of ${key.keyid}`) as unknown,
    });
  });

  test('the event loop runs on while a token signs', async () => {
    await generateTokenKey(uri(), PIN, 'ed25519');
    const key = await open();
    let turns = 0;
    let done = false;
    const count = (): void => {
      turns += 1;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    await Promise.all(Array.from({ length: 20 }, () => key.sign(new Uint8Array(541_000))));
    done = true;
    expect(turns).toBeGreaterThan(20);
  });

  test('a library that is none is named', async () => {
    const text = 'pkcs11:token=t;object=o?module-path=/nowhere/p11.so';
    await expect(openToken(text, PIN)).rejects.toMatchObject({
      code: 'config-invalid',
      message: expect.stringContaining('PKCS#11 module /nowhere/p11.so cannot be loaded') as unknown,
    });
  });
});

type Api = Awaited<ReturnType<typeof acquireModule>>['api'];

/** The private key's object, in a session of the test's own beside those of the code under test. */
async function rawKey(hsm: SoftHsm) {
  const module = await acquireModule(hsm.modulePath);
  const { api } = module;
  const session = api.C_OpenSession(slotOf(api), 6);
  try {
    api.C_Login(session, 1, PIN);
  } catch (error) {
    expect(String(error)).toContain('ALREADY_LOGGED_IN');
  }
  const [object] = find(api, session, 3);
  const release = (): void => {
    module.release();
  };
  return { api, session, object: object!, release };
}

function publicKeys(api: Api, session: Buffer): Buffer[] {
  return find(api, session, 2);
}

function find(api: Api, session: Buffer, objectClass: number): Buffer[] {
  api.C_FindObjectsInit(session, [{ type: 0, value: objectClass }]);
  const found = api.C_FindObjects(session, 9);
  api.C_FindObjectsFinal(session);
  return found;
}

function slotOf(api: Api): Buffer {
  const slot = api.C_GetSlotList(true).find((one) => api.C_GetTokenInfo(one).label.startsWith('online'));
  return slot!;
}

/** What pulling a token out does to a process. */
async function loseSessions(hsm: SoftHsm): Promise<void> {
  const module = await acquireModule(hsm.modulePath);
  for (const slot of module.api.C_GetSlotList(true)) module.api.C_CloseAllSessions(slot);
  module.release();
}
