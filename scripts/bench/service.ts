// The service under measurement: `countersign serve`, a process of its own, on a copy of the model index.
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import * as fs from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import process from 'node:process';
import { setTimeout as sleep } from 'node:timers/promises';

export const CONFIGURATION = `store: file:./repository
ledger: sqlite:./ledger.db
signer: file:./online.key
signer-passphrase: ./online.passphrase
targets: file:./files
listen: 127.0.0.1:0
lifetimes: { timestamp: 1d, snapshot: 1d, bin: 3650d }
log-level: info
`;

/** USER_HZ of Linux is 100 on every architecture that Node runs on. */
const CLOCK_TICK_MS = 10;

/** Milliseconds after which a service that does not get ready is given up. */
const START_LIMIT_MS = 60_000;

export interface ServiceSetting {
  /** `countersign.yaml`. */
  readonly configuration?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

export class MeasuredService {
  readonly folder: string;
  /** Milliseconds from the start of the process to the first 200 of /readyz. */
  readonly startMs: number;
  readonly #child: ChildProcess;
  readonly #address: URL;
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(folder: string, child: ChildProcess, address: URL, begun: number) {
    this.folder = folder;
    this.#child = child;
    this.#address = address;
    this.startMs = performance.now() - begun;
  }

  /** Starts the service in `folder`, a working copy of the index, on embedded defaults or as it is told. */
  static async start(
    folder: string,
    nodeOptions: readonly string[] = [],
    { configuration = CONFIGURATION, env = {} }: ServiceSetting = {},
  ): Promise<MeasuredService> {
    await fs.writeFile(join(folder, 'countersign.yaml'), configuration);
    const begun = performance.now();
    const child = spawn(
      process.execPath,
      [...nodeOptions, join(import.meta.dirname, '../../src/main.js'), 'serve', '--json'],
      {
        cwd: folder,
        env: { ...process.env, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    const log = join(folder, 'service.log');
    child.stderr.pipe(createWriteStream(log));
    const address = await new Promise<URL>((resolve, reject) => {
      let text = '';
      child.stdout.on('data', (chunk: Buffer) => {
        text += chunk.toString();
        const found = /"address":\s*"([^"]+)"/.exec(text)?.[1];
        if (found !== undefined) resolve(new URL(found));
      });
      child.once('error', reject);
      child.once('exit', (code) => {
        reject(new Error(`the service ended with status ${code ?? 'none'}: see ${log}`));
      });
    });
    for (;;) {
      const service = new MeasuredService(folder, child, address, begun);
      if ((await service.send('GET', '/readyz')).status === 200) return service;
      if (service.startMs > START_LIMIT_MS) throw new Error(`the service does not get ready: see ${log}`);
      await sleep(5);
    }
  }

  /** One request over a kept connection. */
  send(method: string, path: string, body?: Buffer, headers: Record<string, string> = {}): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const sent = request(
        new URL(path, this.#address),
        {
          method,
          agent: this.#agent,
          headers: {
            ...(body === undefined
              ? {}
              : { 'content-type': 'application/json', 'content-length': String(body.length) }),
            ...headers,
          },
        },
        (answer) => {
          const parts: Buffer[] = [];
          answer.on('data', (part: Buffer) => parts.push(part));
          answer.once('end', () => {
            resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(parts) });
          });
          answer.once('error', reject);
        },
      );
      sent.once('error', reject);
      sent.end(body);
    });
  }

  /** Sends and expects `status`; the parsed answer. @throws Error that says what came instead. */
  async expect(
    status: number,
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<unknown> {
    const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const answer = await this.send(method, path, bytes, headers);
    const text = answer.body.toString();
    if (answer.status !== status)
      throw new Error(`${method} ${path}: ${answer.status} instead of ${status}: ${text.slice(0, 300)}`);
    return JSON.parse(text);
  }

  /** Waits until nothing is accepted and unpublished. */
  async drained(): Promise<void> {
    for (;;) {
      const { backlog } = (await this.expect(200, 'GET', '/v1/status')) as { backlog: { events: number } };
      if (backlog.events === 0) return;
      await sleep(20);
    }
  }

  /** The most memory that the process has ever had resident, in MB; undefined where the kernel does not tell. */
  async peakMemoryMb(): Promise<number | undefined> {
    const text = await fs.readFile(`/proc/${this.pid}/status`, 'utf8').catch(() => '');
    const kib = /^VmHWM:\s*(\d+) kB/m.exec(text)?.[1];
    return kib === undefined ? undefined : (Number(kib) * 1024) / 1e6;
  }

  /** Milliseconds of processor time that the process has used, all threads together; NaN where there is no /proc. */
  async processorMs(): Promise<number> {
    const text = await fs.readFile(`/proc/${this.pid}/stat`, 'latin1').catch(() => '');
    // The name before may hold spaces and parentheses; user and system time are the 14th and 15th fields.
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    return (Number(fields[11]) + Number(fields[12])) * CLOCK_TICK_MS;
  }

  /** `http://127.0.0.1:PORT` */
  get address(): string {
    return this.#address.origin;
  }

  /** The process's number. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    if (this.#child.exitCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGTERM');
    await ended;
  }
}
