// `npm run bench:signers`: signatures a second for each signer and size of message, written to docs/signers.md. Servers
// are the ones of the interop suite, on loopback: a real network adds its round trips. What cannot be had is left out
// by name.
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { cpus, loadavg, tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { CreateAliasCommand, CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import * as prettier from 'prettier';
import { systemClock } from '../../src/lib/clock.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { generateKeyFile } from '../../src/signing/key-file.ts';
import { openKmsSigner } from '../../src/signing/kms-signer.ts';
import { openPkcs11Signer } from '../../src/signing/pkcs11-signer.ts';
import { generateTokenKey } from '../../src/signing/pkcs11/generate-key.ts';
import type { Signer } from '../../src/signing/signer.ts';
import { openTransitSigner } from '../../src/signing/vault/transit-signer.ts';
import { installMoto } from '../interop/key-services.ts';
import { OpenBao, openBao } from '../interop/openbao.ts';
import { freePort, startProcess, untilReady } from '../interop/server-process.ts';
import { PIN, softHsm, startSoftHsm } from '../interop/softhsm-tokens.ts';

const SIZES = [32, 4096, 223_000, 541_000] as const;
const ALGORITHMS = ['ed25519', 'ecdsa-p256'] as const;
const NAMES = { ed25519: 'Ed25519', 'ecdsa-p256': 'P-256' } as const;

/** Messages in one call: the bins of a busy publication. */
const BATCH = 32;
/** Milliseconds for each cell of the table. */
const CELL_MS = 1500;

interface Row {
  readonly name: string;
  /** Signatures a second, in calls of BATCH messages, for each size. */
  readonly perSecond: readonly number[];
  /** Milliseconds of a call with one message, the median, for each size. */
  readonly single: readonly number[];
}

/** Of the minute before: figures of a busy machine are lower. */
const load = loadavg()[0] ?? 0;

const rows: Row[] = [];
const absent: string[] = [];
const PAGE = 'docs/signers.md';

const folder = await mkdtemp(path.join(tmpdir(), 'countersign-signers-'));
try {
  await files();
  await tokens();
  await transit();
  await kms();
} finally {
  await rm(folder, { recursive: true, force: true });
}
const options = await prettier.resolveConfig(PAGE);
await writeFile(PAGE, await prettier.format(page(), { ...options, filepath: PAGE }));
console.log(`wrote ${PAGE}`);

async function files(): Promise<void> {
  for (const algorithm of ALGORITHMS) {
    const file = path.join(folder, algorithm);
    await generateKeyFile({ path: file, passphrase: 'bench', algorithm, workFactor: 10 });
    await measure(
      `key file or \`vault-kv:\`, ${NAMES[algorithm]}`,
      await openFileSigner({ path: file, passphrase: 'bench' }),
    );
  }
}

async function tokens(): Promise<void> {
  if (softHsm.program === undefined) {
    absent.push(`${softHsm.name}: ${softHsm.reason}`);
    return;
  }
  const hsm = await startSoftHsm();
  try {
    await hsm.initialize('bench');
    for (const algorithm of ALGORITHMS) {
      const uri = `pkcs11:token=bench;object=${algorithm}?module-path=${hsm.modulePath}`;
      await generateTokenKey(uri, PIN, algorithm);
      await measure(
        `\`pkcs11:\` SoftHSM (a token in software), ${NAMES[algorithm]}`,
        await openPkcs11Signer(uri, PIN, true),
      );
    }
  } finally {
    await hsm.remove();
  }
}

async function transit(): Promise<void> {
  if (openBao.program === undefined) {
    absent.push(`${openBao.name}: ${openBao.reason}`);
    return;
  }
  const bao = await OpenBao.start();
  try {
    const token = await bao.token('root');
    for (const algorithm of ALGORITHMS) {
      await bao.ask('POST', `transit/keys/${algorithm}`, { type: algorithm });
      const signer = await openTransitSigner({
        settings: { address: bao.address, login: { method: 'token', token: () => Promise.resolve(token) } },
        name: { mount: 'transit', key: algorithm },
        clock: systemClock,
        trusted: [],
        warn: () => undefined,
      });
      await measure(`\`vault:\` transit of ${openBao.name}, ${NAMES[algorithm]}`, signer);
    }
  } finally {
    await bao.stop();
  }
}

async function kms(): Promise<void> {
  const moto = await installMoto();
  if (moto.program === undefined) {
    absent.push(`${moto.name}: ${moto.reason}`);
    return;
  }
  Object.assign(process.env, { AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench' });
  const port = await freePort();
  const endpoint = `http://127.0.0.1:${port}`;
  const region = 'eu-central-1';
  const server = startProcess(moto.program, [
    'test/interop/moto_kms.py',
    '-H',
    '127.0.0.1',
    '-p',
    String(port),
  ]);
  try {
    await untilReady(server, async () => (await fetch(`${endpoint}/moto-api/`)).ok);
    const client = new KMSClient({ endpoint, region });
    const made = await client.send(
      new CreateKeyCommand({ KeySpec: 'ECC_NIST_P256', KeyUsage: 'SIGN_VERIFY' }),
    );
    const target = made.KeyMetadata?.KeyId ?? '';
    await client.send(new CreateAliasCommand({ AliasName: 'alias/bench', TargetKeyId: target }));
    client.destroy();
    await measure(
      '`awskms:` moto (**an emulator**), P-256',
      await openKmsSigner({ key: 'alias/bench', region, endpoint }),
    );
  } finally {
    await server.stop();
  }
}

async function measure(name: string, signer: Signer): Promise<void> {
  const perSecond: number[] = [];
  const single: number[] = [];
  for (const size of SIZES) {
    const messages = Array.from({ length: BATCH }, (_, index) => new Uint8Array(size).fill(index));
    await signer.sign(messages);
    const startedAt = performance.now();
    let count = 0;
    while (performance.now() - startedAt < CELL_MS) count += (await signer.sign(messages)).length;
    perSecond.push(count / ((performance.now() - startedAt) / 1000));
    const times: number[] = [];
    const until = performance.now() + CELL_MS / 2;
    while (performance.now() < until) {
      const before = performance.now();
      await signer.sign(messages.slice(0, 1));
      times.push(performance.now() - before);
    }
    single.push(times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? 0);
  }
  await signer.close();
  rows.push({ name, perSecond, single });
  console.log(`${name}: ${perSecond.map((value) => value.toFixed(0)).join(', ')} a second`);
}

function page(): string {
  const heads = ['32 B', '4 KiB', '223 KB (a bin)', '541 KB (a snapshot)'];
  const table = (cells: (row: Row) => readonly string[]): string =>
    [
      `| signer | ${heads.join(' | ')} |`,
      `| --- | ${heads.map(() => '---:').join(' | ')} |`,
      ...rows.map((row) => `| ${row.name} | ${cells(row).join(' | ')} |`),
    ].join('\n');
  const missing = absent.map((line) => `- not measured: ${line.split('\n')[0] ?? ''}`).join('\n');
  const at = new Date(systemClock.now()).toISOString().slice(0, 10);
  return `# Signers, measured

Written by \`npm run bench:signers\` on ${at}, on ${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown'} with Node.js ${process.version}, whose load
was ${load.toFixed(1)} before the run (above 0.5 it was shared, and a quiet one does better). Servers run on the
same two cores, over loopback, without TLS: a network adds its round trip to every request. What an emulator or a token in
software does says that the adapter works and what it costs, not what Amazon's service or a device will do.

Signatures a second, in calls of ${BATCH} messages, as a publication of ${BATCH} bins makes them:

${table(({ perSecond }) => perSecond.map((value) => Math.round(value).toLocaleString('en')))}

Milliseconds for a call with one message, the median; a publication makes three such steps one after the other (bins,
snapshot, timestamp):

${table(({ single }) => single.map((value) => value.toFixed(value < 10 ? 2 : 0)))}
${missing}

## Which to take

- **A key file** is the fastest and the simplest. Whoever can read the memory of the service has the key.
  \`vault-kv:\` is as fast: the key comes from Vault, once, and is in the same memory afterwards.
- **Vault or OpenBao transit with P-256** when nobody may ever have the key: only digests travel, so that the size of a
  bin costs next to nothing. With Ed25519 each bin crosses the network whole and a third longer: fit for repositories with
  small bins.
- **PKCS#11** when the key must be in a device. Look up its signatures a second before you choose the number of bins:
  renewal alone signs every bin twice a day, 0.4 signatures a second at 16,384 bins; a release day needs a few hundred.
- **AWS KMS** has a quota in place of a speed: ask for a higher one when \`countersign status\` says
  \`ThrottlingException\`. A call is one signature; up to 16 are under way at a time.

Each signature is verified before it is used, whoever made it: that costs about 0.4 ms for a bin (ADR 13) and is in none of the
figures above.
`;
}
