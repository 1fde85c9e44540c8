// What leaves a ceremony for safe-keeping. PEP 458 "Managing offline keys" asks for two exports on backup media: all new
// metadata and keys, encrypted, from which everything can be restored; and the online part alone, for the service.
import { readdir } from 'node:fs/promises';
import path from 'node:path';
import { Decrypter, Encrypter } from 'age-encryption';
import { equalBytes, sha256Hex } from '../src/lib/bytes.ts';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { DEFAULT_WORK_FACTOR } from '../src/lib/passphrase-file.ts';
import { verifyBundle } from '../src/tuf/bundle.ts';
import { readBundleFile } from './bundle-file.ts';
import type { Ceremony } from './ceremony.ts';
import { FILES, MAX_BYTES, readRegularFile, readRequired } from './ceremony-folder.ts';
import { tarOf, type TarFile } from './tar.ts';

export const CHECKSUMS_FILE = 'SHA256SUMS';

/** Bytes of a key file; an encrypted one has some 700. */
const MAX_KEY_BYTES = 64 * 1024;

/**
 * Every file of a ceremony's folder, and `keyFiles` from elsewhere below `keys/`, as an archive.
 * @throws CountersignError `ceremony-file-missing`, `ceremony-file-invalid`; `usage` when two key files have one name.
 */
export async function archiveOf(
  ceremony: Ceremony,
  keyFiles: readonly string[],
): Promise<{ tar: Buffer; files: number }> {
  const { folder, plan } = ceremony;
  const files: TarFile[] = [];
  for (const name of await filesBelow(folder)) {
    files.push({
      name: `${plan.ceremony}/${name}`,
      content: await readRequired(folder, name, MAX_BYTES.bundle),
    });
  }
  for (const file of keyFiles) {
    const content = await readRegularFile(file, MAX_KEY_BYTES);
    if (content === undefined) throw new CountersignError('ceremony-file-missing', `${file} is not there`);
    files.push({ name: `${plan.ceremony}/keys/${path.basename(file)}`, content });
  }
  return { tar: tarOf(files, plan.date), files: files.length };
}

/**
 * Files below a folder, sorted; not those that are being written, nor locks.
 * @throws CountersignError `ceremony-file-invalid` for a name that could not stand in a record or an archive, and for a
 *   folder that cannot be read.
 */
export async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch((cause: unknown) => {
    const message = `${folder} cannot be read: ${messageOf(cause)}`;
    throw new CountersignError('ceremony-file-invalid', message, { cause });
  });
  const names = entries
    .filter((entry) => !entry.isDirectory())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)).replaceAll(path.sep, '/'))
    .filter((name) => !/(?:^|\/)\.|\.lock(?:\.takeover)?$/.test(name))
    .sort();
  const strange = names.find((name) => !/^[\x21-\x7e]+$/.test(name));
  if (strange === undefined) return names;
  throw new CountersignError(
    'ceremony-file-invalid',
    `${JSON.stringify(strange)} in ${folder} has a name with a blank, or with a character beyond ASCII: give it another one, ` +
      'or take it out of the folder',
  );
}

/**
 * Encrypts an archive with a passphrase, as `age --passphrase` does, and opens the result again before it is trusted.
 * @throws CountersignError `secret-unreadable` when the passphrase is empty, `internal` when it does not open.
 */
export async function encryptArchive(
  tar: Uint8Array,
  passphrase: string,
  workFactor = DEFAULT_WORK_FACTOR,
): Promise<Uint8Array> {
  if (passphrase === '') {
    throw new CountersignError('secret-unreadable', 'an archive is not encrypted under an empty passphrase');
  }
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  encrypter.setScryptWorkFactor(workFactor);
  const encrypted = await encrypter.encrypt(tar);
  const decrypter = new Decrypter();
  decrypter.addPassphrase(passphrase);
  if (!equalBytes(await decrypter.decrypt(encrypted), tar)) {
    throw new CountersignError('internal', 'the encrypted archive does not hold what went into it');
  }
  return encrypted;
}

/**
 * What the service needs, and nothing else: the bundle, the public part of its key, and their checksums.
 * @param now milliseconds since the epoch: an expired bundle is of no use to the service.
 * @throws CountersignError `ceremony-file-missing` before `bundle` has run; `bundle-invalid`; `ceremony-mismatch` for the
 *   bundle of another ceremony.
 */
export async function onlinePart(ceremony: Ceremony, now: number): Promise<ReadonlyMap<string, Buffer>> {
  const { folder, plan } = ceremony;
  const { bytes: bytesOfBundle, bundle } = await readBundleFile(ceremony);
  await verifyBundle(bundle, now);
  const files = new Map<string, Buffer>([[FILES.bundle, bytesOfBundle]]);
  for (const name of plan.online) {
    files.set(exportName(name, files), await readRequired(folder, name, MAX_BYTES.publicKey));
  }
  const sums = [...files].map(([name, bytes]) => `${sha256Hex(bytes)}  ${name}\n`).join('');
  return files.set(CHECKSUMS_FILE, Buffer.from(sums));
}

/** Without folders; two keys of one name, `old/online.pub.json` and `new/online.pub.json`, keep theirs. */
function exportName(name: string, taken: ReadonlyMap<string, unknown>): string {
  const base = path.posix.basename(name);
  return taken.has(base) ? name.replaceAll('/', '-') : base;
}
