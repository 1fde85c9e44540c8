// SoftHSM, a token in software with the interface of the real ones: tokens of its own in a folder of the test's.
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import process from 'node:process';
import { promisify } from 'node:util';
import { installSoftHsm } from './softhsm.ts';

export const PIN = '84627195';
const SO_PIN = '15937284';

export const softHsm = await installSoftHsm();

export interface SoftHsm {
  readonly modulePath: string;
  readonly folder: string;
  /** Makes a token. */
  initialize(label: string): Promise<void>;
  /** What the tool of the token says. */
  tool(...args: readonly string[]): Promise<string>;
  remove(): Promise<void>;
}

/**
 * An empty set of tokens. The library reads its configuration when it is initialized: one set at a time in a process.
 */
export async function startSoftHsm(): Promise<SoftHsm> {
  const { program, modulePath } = softHsm;
  if (program === undefined || modulePath === undefined) throw new Error(softHsm.reason);
  const folder = await mkdtemp(path.join(tmpdir(), 'countersign-softhsm-'));
  const tokens = path.join(folder, 'tokens');
  await mkdir(tokens);
  const config = path.join(folder, 'softhsm2.conf');
  await writeFile(
    config,
    `directories.tokendir = ${tokens}\nobjectstore.backend = file\nlog.level = ERROR\n`,
  );
  process.env['SOFTHSM2_CONF'] = config;
  const tool = async (...args: readonly string[]): Promise<string> => {
    const { stdout } = await promisify(execFile)(program, ['--module', modulePath, ...args], {
      env: { ...process.env, SOFTHSM2_CONF: config },
    });
    return stdout;
  };
  return {
    modulePath,
    folder: tokens,
    tool,
    remove: () => rm(folder, { recursive: true, force: true }),
    initialize: async (label) => {
      await tool('--init-token', '--free', '--label', label, '--pin', PIN, '--so-pin', SO_PIN);
      if ((await readdir(tokens)).length === 0) throw new Error('softhsm2-util made no token');
    },
  };
}
