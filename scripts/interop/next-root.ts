// A root rotation on a rehearsed installation: one holder's key is replaced, two holders sign, the running service imports.
import { randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { CeremonyKey } from '../../keys-ceremony/ceremony-key.ts';
import { decryptPrivateKey } from '../../src/lib/passphrase-file.ts';
import { parseBundle, serializeBundle } from '../../src/tuf/bundle.ts';
import type { Root } from '../../src/tuf/metadata.ts';
import { serializeRoot } from '../../src/tuf/serialize.ts';
import { inCheckout } from './checkout.ts';
import type { Installation } from './installation.ts';
import { run } from './run.ts';

const COUNTERSIGN = inCheckout('dist/src/main.js');

/** Publishes the next root; its version. */
export async function rotateRoot({ folder }: Installation): Promise<number> {
  const bundle = parseBundle(await readFile(path.join(folder, 'bundle.json')));
  const last = bundle.roots.at(-1)?.signed;
  if (last === undefined) throw new Error('a bundle without a root');
  const staying = await Promise.all(['holder-1', 'holder-2'].map((holder) => holderKey(folder, holder)));
  const replacement = await CeremonyKey.generate((count) => randomBytes(count));
  const holders = [...staying, replacement];
  const others = [...last.keys].filter(([keyid]) => !last.roles.root.keyids.includes(keyid));
  const next: Root = {
    ...last,
    version: last.version + 1,
    keys: new Map([...holders.map(({ keyid, publicKey }) => [keyid, publicKey] as const), ...others]),
    roles: { ...last.roles, root: { ...last.roles.root, keyids: holders.map(({ keyid }) => keyid) } },
  };
  const signedBytes = serializeRoot(next);
  const signatures = await Promise.all(staying.map((key) => key.sign(signedBytes)));
  const roots = [...bundle.roots, { signed: next, signedBytes, signatures }];
  await writeFile(path.join(folder, 'next-bundle.json'), serializeBundle({ ...bundle, roots }));
  await run(process.execPath, [COUNTERSIGN, 'import', 'next-bundle.json', '--json'], { cwd: folder });
  return next.version;
}

export async function holderKey(folder: string, holder: string): Promise<CeremonyKey> {
  const file = path.join(folder, 'holders', holder, 'root');
  const passphrase = (await readFile(`${file}.passphrase`, 'utf8')).trim();
  return CeremonyKey.fromPrivateKey(
    await decryptPrivateKey(await readFile(`${file}.key`, 'utf8'), passphrase),
  );
}
