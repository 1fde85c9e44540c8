// A countersign installation as a user makes one: rehearsed, bootstrapped and served by the built programs.
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import process from 'node:process';
import { createInterface } from 'node:readline';
import { openSqliteLedger } from '../../src/ledger/sqlite-ledger.ts';
import { systemClock } from '../../src/lib/clock.ts';
import { bootstrap } from '../../src/publish/bootstrap.ts';
import { openFileSigner } from '../../src/signing/file-signer.ts';
import { openFileStore } from '../../src/storage/file-store.ts';
import { inCheckout } from './checkout.ts';
import { closed, run, start } from './run.ts';

const COUNTERSIGN = inCheckout('dist/src/main.js');
const CEREMONY = inCheckout('dist/keys-ceremony/main.js');

/** Milliseconds in which a service says its address, or finishes its work after SIGTERM. */
const SERVICE_MS = 60_000;

const DAY_MS = 86_400_000;

export type Format = 'succinct' | 'prefixes';

export interface Upload {
  readonly path: string;
  readonly length: number;
  readonly sha256: string;
  readonly content: string | Uint8Array;
}

/** Uploads named as a package index names files. */
export function makeUploads(count: number, release: string): Upload[] {
  return Array.from({ length: count }, (_, index) => {
    const content = `release ${release}, file ${index}\n`.repeat(1 + (index % 7));
    const sha256 = createHash('sha256').update(content).digest('hex');
    const name = `project_${index}-${release}+local.${index % 3}-py3-none-any.whl`;
    const folder = `packages/${sha256.slice(0, 2)}/${sha256.slice(2, 4)}/${sha256.slice(4)}`;
    return { path: `${folder}/${name}`, length: Buffer.byteLength(content), sha256, content };
  });
}

export interface Service {
  /** `http://127.0.0.1:41234` */
  readonly url: string;
  publish(uploads: readonly Upload[]): Promise<void>;
  status(): Promise<ServiceStatus>;
  stop(): Promise<void>;
}

export interface ServiceStatus {
  readonly publisher: { readonly renewalsDue: number; readonly role: string };
  readonly published: { readonly snapshot: { readonly version: number } };
}

export class Installation {
  readonly folder: string;

  private constructor(folder: string) {
    this.folder = folder;
  }

  static async found(folder: string, bins: number, format: Format): Promise<Installation> {
    const args = ['rehearse', '--out', folder, '--bins', String(bins), '--format', format, '--json'];
    await run(process.execPath, [CEREMONY, ...args]);
    await run(process.execPath, [COUNTERSIGN, 'bootstrap', 'bundle.json', '--json'], { cwd: folder });
    return new Installation(folder);
  }

  /** As `found`, `agoMs` milliseconds ago: the bootstrap is given another clock, which a command cannot be. */
  static async foundEarlier(folder: string, bins: number, agoMs: number): Promise<Installation> {
    await run(process.execPath, [CEREMONY, 'rehearse', '--out', folder, '--bins', String(bins), '--json']);
    const ledger = await openSqliteLedger(path.join(folder, 'ledger.db'));
    const passphrase = (await readFile(path.join(folder, 'online.passphrase'), 'utf8')).trim();
    const signer = await openFileSigner({ path: path.join(folder, 'online.key'), passphrase });
    await bootstrap(await readFile(path.join(folder, 'bundle.json')), {
      ledger,
      history: ledger,
      store: await openFileStore(path.join(folder, 'repository')),
      signer,
      clock: { ...systemClock, now: () => systemClock.now() - agoMs },
      lifetimes: { timestampMs: DAY_MS, snapshotMs: DAY_MS, binMs: DAY_MS },
      holder: 'interop',
      isGone: () => false,
    });
    await signer.close();
    await ledger.close();
    return new Installation(folder);
  }

  get root(): string {
    return path.join(this.folder, 'root.json');
  }

  /** Serves on a free port of loopback; `env`: settings as COUNTERSIGN_… variables. */
  async serve(env: Readonly<Record<string, string>> = {}): Promise<Service> {
    const settings = { COUNTERSIGN_LISTEN: '127.0.0.1:0', COUNTERSIGN_LOG_LEVEL: 'warn', ...env };
    const child = start(process.execPath, [COUNTERSIGN, 'serve', '--json'], {
      cwd: this.folder,
      env: settings,
    });
    const ended = closed(child);
    const messages: string[] = [];
    child.stderr?.on('data', (chunk: Buffer) => messages.push(chunk.toString()));
    const url = await addressOf(child.stdout as NodeJS.ReadableStream, ended, messages);
    return {
      url,
      publish: (uploads) => this.#publish(url, uploads),
      status: async () => (await (await fetch(`${url}/v1/status`)).json()) as ServiceStatus,
      stop: async () => {
        child.kill('SIGTERM');
        const timer = setTimeout(() => child.kill('SIGKILL'), SERVICE_MS);
        const [code, signal] = await ended;
        clearTimeout(timer);
        if (code !== 0) throw new Error(`serve ended with ${code ?? signal ?? '?'}: ${messages.join('')}`);
      },
    };
  }

  /** Puts the files where the service serves them from, tells it, waits for the snapshot. */
  async #publish(url: string, uploads: readonly Upload[]): Promise<void> {
    for (const upload of uploads) {
      const file = path.join(this.folder, 'files', upload.path);
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, upload.content);
    }
    const events = uploads.map(({ path: target, length, sha256 }) => ({
      changes: [{ op: 'add', path: target, length, hashes: { sha256 } }],
    }));
    const response = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', prefer: 'wait=60' },
      body: JSON.stringify({ events }),
    });
    const answer = (await response.json()) as { events?: { state: string }[] };
    if (response.status === 200 && answer.events?.every(({ state }) => state === 'published') === true)
      return;
    throw new Error(`the service answered ${response.status}: ${JSON.stringify(answer).slice(0, 500)}`);
  }

  /** The repository, judged by fsck; `location` is a URL, or left out for the store and its ledger. */
  async fsck(location?: string): Promise<void> {
    const where = location === undefined ? [] : [location, '--root', this.root];
    await run(process.execPath, [COUNTERSIGN, 'fsck', ...where], { cwd: this.folder });
  }
}

async function addressOf(
  stdout: NodeJS.ReadableStream,
  ended: Promise<unknown>,
  messages: readonly string[],
): Promise<string> {
  const found = new Promise<string>((resolve) => {
    createInterface({ input: stdout }).on('line', (line) => {
      const match = /"address": "([^"]+)"/.exec(line);
      if (match?.[1] !== undefined) resolve(match[1]);
    });
  });
  const failed = Promise.race([ended, systemClock.sleep(SERVICE_MS)]).then(() => {
    throw new Error(`serve said no address: ${messages.join('')}`);
  });
  return Promise.race([found, failed]);
}
