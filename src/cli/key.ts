// countersign key: makes the online key, and shows its public part for the ceremony.
import path from 'node:path';
import { Option, type Command } from 'commander';
import type { LoadedConfig } from '../config.ts';
import { parseSigner, type SignerSetting } from '../config/backends.ts';
import { readSecretFile } from '../secrets.ts';
import { openFileSigner } from '../signing/file-signer.ts';
import { generateKeyFile, type KeyAlgorithm } from '../signing/key-file.ts';
import { keyId } from '../tuf/keys.ts';
import type { PublicKey } from '../tuf/metadata.ts';
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
The key is encrypted under a passphrase, which comes from --passphrase-file, from the file that
signer-passphrase names, or from COUNTERSIGN_SIGNER_PASSPHRASE.

Examples:
  (umask 077; openssl rand -base64 30 > online.passphrase)
  countersign key generate --passphrase-file online.passphrase
  countersign key generate --signer file:./spare.key --algorithm ecdsa-p256 --json`,
    )
    .action(
      perform(async (session, raw) => {
        const { algorithm = 'ed25519', ...options } = raw as KeyOptions;
        const { path: file, passphrase } = await openSettings(session, options);
        return describeKey(file, await generateKeyFile({ path: file, passphrase, algorithm }));
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
        const settings = await openSettings(session, raw);
        const signer = await openFileSigner(settings);
        await signer.close();
        return describeKey(settings.path, signer.publicKey);
      }),
    );
}

function withKeyOptions(command: Command): Command {
  return command
    .option('--signer <uri>', 'where the key is, file:FILE (default: "signer" of the configuration)')
    .option('--passphrase-file <file>', 'a private file with the passphrase');
}

async function openSettings(
  session: Session,
  options: KeyOptions,
): Promise<{ path: string; passphrase: string }> {
  const loaded = await session.load();
  const { path: file } = signerOf(session, options, loaded);
  return { path: file, passphrase: await passphraseOf(session, options, loaded) };
}

function signerOf({ context }: Session, { signer }: KeyOptions, { config }: LoadedConfig): SignerSetting {
  return signer === undefined
    ? config.signer
    : parseSigner({ value: signer, source: '--signer' }, context.cwd);
}

function passphraseOf(
  { context }: Session,
  { passphraseFile }: KeyOptions,
  { secrets }: LoadedConfig,
): Promise<string> {
  if (passphraseFile === undefined) return secrets.signerPassphrase();
  return readSecretFile(path.resolve(context.cwd, passphraseFile), 'passphrase file');
}

function describeKey(file: string, key: PublicKey): Answer {
  const keyid = keyId(key);
  return {
    json: { file, keyid, key },
    text: [`key file  ${file}`, `key id    ${keyid}`, `public    ${JSON.stringify(key)}`].join('\n'),
  };
}
