// countersign proxy: an index for installers that do not verify themselves.
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import type { Command } from 'commander';
import { parseDuration } from '../lib/duration.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import type { ProxyOptions } from '../proxy/start-proxy.ts';
import { MetadataDirectory } from '../storage/metadata-directory.ts';
import type { Perform, Session } from './session.ts';

interface ProxyCommandOptions {
  readonly metadataUrl: string;
  readonly targetBaseUrl: string;
  readonly root: string;
  readonly listen: string;
  readonly indexUrl?: string;
  readonly fileBaseUrl: readonly string[];
  readonly state: string;
  readonly cacheSize: string;
  readonly fresh: string;
  readonly checkFiles: string;
  readonly unsafelyDisablePackageVerification?: true;
}

export function addProxyCommand(program: Command, perform: Perform): void {
  program
    .command('proxy')
    .description(
      'an index that any installer can point at: every page and file is verified before it is passed on',
    )
    .requiredOption('--metadata-url <url>', 'where timestamp.json is')
    .requiredOption('--target-base-url <url>', 'where target files are')
    .requiredOption('--root <file>', 'the root to trust')
    .option('--listen <address>', 'where to listen', '127.0.0.1:8459')
    .option('--index-url <url>', 'a simple index for projects whose pages are not signed')
    .option(
      '--file-base-url <url>',
      'where target files are in the links of that index; may be repeated (default: the path of a link is the target path)',
      (value: string, previous: readonly string[]) => [...previous, value],
      [],
    )
    .option('--state <dir>', 'what is trusted, and verified files', './countersign-proxy')
    .option('--cache-size <size>', 'bytes of verified files on disk, such as 500M or 20G', '2G')
    .option('--fresh <duration>', 'how old the metadata may be before it is refreshed', '10s')
    .option('--check-files <count>', 'how many newest files of an unsigned page are looked up', '16')
    .option(
      '--unsafely-disable-package-verification',
      'pass on what verification refuses, and log each such answer: for this run only (PEP 458)',
    )
    .addHelpText(
      'after',
      `
Pages come from the index's own signed page files (simple/NAME/index.json) where there are any, and otherwise
from --index-url. Files come from --target-base-url, or from the cache, and only with the length and hash that
signed metadata gives. What is refused is said in the installer's error, and in the log: JSON lines on standard
error. With --json the address is printed as {"address": URL} once the proxy listens.

Examples:
  countersign proxy --root root.json --metadata-url https://index.example/metadata \\
    --target-base-url https://index.example/targets
  pip install --index-url http://127.0.0.1:8459/simple/ demo
  countersign proxy --root root.json --metadata-url https://index.example/metadata \\
    --target-base-url https://files.example/ --index-url https://index.example/simple/`,
    )
    .action(
      perform(async (session, raw) => {
        const stop = session.context.stopRequested();
        const options = await readOptions(session, raw as unknown as ProxyCommandOptions);
        const { clock, newId, stderr } = session.context;
        // Loaded when they are needed: they take longer to load than most commands to run.
        const { createLogger } = await import('../lib/log.ts');
        const { startProxy } = await import('../proxy/start-proxy.ts');
        const forPeople = stderr.isTTY === true && !session.json;
        const log = createLogger(forPeople ? 'warn' : 'info');
        if (!options.verify) {
          session.note(
            'countersign: WARNING: package verification is disabled: anybody between you and the index',
          );
          session.note('can make you install anything. Every file that is passed on unverified is logged.');
          log.warn('UNVERIFIED: package verification is disabled for this run');
        }
        const openStore = (directory: string) => MetadataDirectory.open(directory);
        const proxy = await startProxy(options, { clock, newId, log, openStore });
        if (session.json) session.answer({ json: { address: proxy.address }, text: '' });
        else if (forPeople) {
          session.note(`countersign proxy listens on ${proxy.address} (stop with Ctrl-C)`);
          session.note(`  pip install --index-url ${proxy.address}/simple/ NAME`);
        }
        await stop;
        await proxy.stop();
        return { text: '' };
      }),
    );
}

async function readOptions(session: Session, raw: ProxyCommandOptions): Promise<ProxyOptions> {
  const { cwd } = session.context;
  const rootFile = path.resolve(cwd, raw.root);
  let root;
  try {
    root = await readFile(rootFile);
  } catch (error) {
    throw new CountersignError('usage', `cannot read ${rootFile}: ${messageOf(error)}`, { cause: error });
  }
  return {
    metadataUrl: baseUrl('--metadata-url', raw.metadataUrl),
    targetBaseUrl: baseUrl('--target-base-url', raw.targetBaseUrl),
    fileBaseUrls: raw.fileBaseUrl.map((url) => baseUrl('--file-base-url', url)),
    ...(raw.indexUrl === undefined ? {} : { indexUrl: baseUrl('--index-url', raw.indexUrl) }),
    root,
    stateDirectory: path.resolve(cwd, raw.state),
    maxCacheBytes: parseSize(raw.cacheSize),
    freshMs: parseDuration(raw.fresh),
    checkedFiles: parseCount(raw.checkFiles),
    ...parseListen(raw.listen),
    verify: raw.unsafelyDisablePackageVerification !== true,
  };
}

function baseUrl(option: string, text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '') {
    throw new CountersignError('usage', `${option} ${JSON.stringify(text)} is not an http or https URL`);
  }
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

const UNIT_BYTES: Readonly<Record<string, number>> = {
  '': 1,
  K: 2 ** 10,
  M: 2 ** 20,
  G: 2 ** 30,
  T: 2 ** 40,
};

function parseSize(text: string): number {
  const [, count, unit = ''] = /^(\d{1,12})([KMGT]?)$/.exec(text) ?? [];
  if (count !== undefined) return Number(count) * (UNIT_BYTES[unit] ?? 1);
  throw new CountersignError(
    'usage',
    `--cache-size ${JSON.stringify(text)} is not a number of bytes such as 500M`,
  );
}

function parseCount(text: string): number {
  if (/^\d{1,4}$/.test(text)) return Number(text);
  throw new CountersignError('usage', `--check-files ${JSON.stringify(text)} is not a number from 0 to 9999`);
}

function parseListen(text: string): { host: string; port: number } {
  const [, host, port = ''] = /^(\[[0-9a-fA-F:]+\]|[^:[\]/]+):(\d{1,5})$/.exec(text) ?? [];
  if (host !== undefined && Number(port) < 65_536) {
    return { host: host.replaceAll(/[[\]]/g, ''), port: Number(port) };
  }
  throw new CountersignError(
    'usage',
    `--listen ${JSON.stringify(text)} is not HOST:PORT, such as 127.0.0.1:8459`,
  );
}
