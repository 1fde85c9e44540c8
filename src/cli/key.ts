// countersign key: makes the online key, and shows its public part for the ceremony.
import path from 'node:path';
import { Option, type Command } from 'commander';
import { parseSigner, type SignerSetting } from '../config/backends.ts';
import { openSigner, type SignerSecrets } from '../open-signer.ts';
import { readSecretFile } from '../secrets.ts';
import type { KeyAlgorithm } from '../signing/key-file.ts';
import { keyId } from '../tuf/keys.ts';
import type { PublicKey } from '../tuf/metadata.ts';
import { generateOnlineKey } from './generate-key.ts';
import type { Answer, Perform, Session } from './session.ts';

interface KeyOptions {
  readonly signer?: string;
  readonly passphraseFile?: string;
  readonly algorithm?: KeyAlgorithm;
}

export function addKeyCommand(program: Command, perform: Perform): void {
  const key = program.command('key').description('the online key: make one, show its public part');
  withKeyOptions(key.command('generate'))
    .description('make an online key and print its public part for the ceremony; never overwrites')
    .addOption(
      new Option('--algorithm <name>', 'the kind of key')
        .choices(['ed25519', 'ecdsa-p256'])
        .default('ed25519'),
    )
    .addHelpText(
      'after',
      `
A key file is encrypted under a passphrase, which comes from --passphrase-file, from the file that
signer-passphrase names, or from COUNTERSIGN_SIGNER_PASSPHRASE. A key in Vault (vault:) or on a token
(pkcs11:) is made there and cannot leave.

Examples:
  (umask 077; openssl rand -base64 30 > online.passphrase)
  countersign key generate --passphrase-file online.passphrase
  countersign key generate --signer file:./spare.key --algorithm ecdsa-p256 --json
  countersign key generate --signer 'vault:transit/online?address=https://vault.example.org:8200'`,
    )
    .action(
      perform(async (session, raw) => {
        const { algorithm = 'ed25519', ...options } = raw as KeyOptions;
        const { signer, uri, secrets } = await openSettings(session, options);
        const { clock } = session.context;
        return describeKey(signer, uri, await generateOnlineKey(signer, secrets, algorithm, clock));
      }),
    );
  withKeyOptions(key.command('show'))
    .description('print the public part of the online key')
    .addHelpText(
      'after',
      `
Examples:
  countersign key show
  countersign key show --signer file:./online.key --json > online.pub.json`,
    )
    .action(
      perform(async (session, raw) => {
        const { signer, uri, secrets } = await openSettings(session, raw);
        const opened = await openSigner({ signer }, secrets, {
          clock: session.context.clock,
          trusted: () => Promise.resolve([]),
          // A person runs this, with a PIN that was just corrected perhaps.
          unattended: false,
          warn: (message) => {
            session.note(`countersign: ${message}`);
          },
        });
        await opened.close();
        return describeKey(signer, uri, opened.publicKey);
      }),
    );
}

function withKeyOptions(command: Command): Command {
  return command
    .option('--signer <uri>', 'where the key is (default: "signer" of the configuration)')
    .option('--passphrase-file <file>', 'a private file with the passphrase, or with the PIN of a token');
}

interface KeySettings {
  readonly signer: SignerSetting;
  /** As it was given. */
  readonly uri: string;
  readonly secrets: SignerSecrets;
}

async function openSettings(session: Session, options: KeyOptions): Promise<KeySettings> {
  const { cwd } = session.context;
  const { config, secrets } = await session.load();
  const { signer: uri, passphraseFile } = options;
  const signer = uri === undefined ? config.signer : parseSigner({ value: uri, source: '--signer' }, cwd);
  return {
    signer,
    uri: uri ?? signer.kind,
    secrets:
      passphraseFile === undefined
        ? secrets
        : {
            signerPassphrase: () => readSecretFile(path.resolve(cwd, passphraseFile), 'passphrase file'),
            vaultToken: (file) => secrets.vaultToken(file),
          },
  };
}

function describeKey(signer: SignerSetting, uri: string, key: PublicKey): Answer {
  const keyid = keyId(key);
  const isFile = signer.kind === 'file';
  return {
    json: { ...(isFile ? { file: signer.path } : { signer: uri }), keyid, key },
    text: [
      isFile ? `key file  ${signer.path}` : `signer    ${uri}`,
      `key id    ${keyid}`,
      `public    ${JSON.stringify(key)}`,
    ].join('\n'),
  };
}
