// The whole job on embedded defaults, with the real programs: ceremony, bootstrap, service, uploads, an independent
// client, mirrors that lie, and a last look at everything. Each step holds the story to its facts; the first that does
// not hold ends the demo.
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { Type, type Static, type TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { equalBytes, sha256Hex, utf8 } from '../lib/bytes.ts';
import { expectFact } from './failure.ts';
import { attackClients, type Attack } from './mirror-attacks.ts';
import type { Narrator } from './narrator.ts';
import { OutsideClient } from './outside-client.ts';
import { Programs, type RunningService, type Surroundings } from './programs.ts';
import { readRealUploads, type RealUploads } from './real-uploads.ts';
import { sendRelease, type ReleaseDay } from './release-day.ts';
import { makeWheel } from './wheel.ts';

/** A free port of the loopback interface: two demos at once do not meet. */
const LISTEN = '127.0.0.1:0';

const HOLDERS = 3;
const THRESHOLD = 2;

export interface DemoTools extends Surroundings {
  readonly narrator: Narrator;
  readonly progress: (done: number, total: number) => void;
}

/** What happened, for machines. */
export interface DemoReport {
  readonly directory: string;
  readonly ceremony: { readonly holders: number; readonly threshold: number; readonly onlineKeyid: string };
  readonly bins: number;
  readonly existing: { readonly files: number; readonly snapshot: number };
  readonly release: ReleaseDay;
  readonly download: { readonly path: string; readonly length: number; readonly sha256: string };
  /** The snapshot that the independent client trusts in the end. */
  readonly snapshot: number;
  readonly attacks: readonly Attack[];
  /** What fsck found: no rule is broken. */
  readonly sound: boolean;
  readonly seconds: number;
}

/** The parts of the commands' answers that the story needs. */
const Rehearsed = Type.Object({ onlineKeyid: Type.String() });
const Founded = Type.Object({ snapshot: Type.Integer(), bins: Type.Integer() });
const Backsigned = Type.Object({
  files: Type.Integer(),
  digest: Type.String(),
  result: Type.Object({ agreed: Type.Integer(), snapshot: Type.Integer() }),
});
const Published = Type.Object({
  published: Type.Integer(),
  rejected: Type.Integer(),
  snapshot: Type.Integer(),
});
const Status = Type.Object({ healthy: Type.Boolean() });
const Checked = Type.Object({ sound: Type.Boolean() });

/**
 * Runs the demo in `directory`, which is new or empty. No process is left when it returns or throws.
 * @throws CountersignError `demo-failed` at the first step that is not as it says.
 */
export async function runDemo(directory: string, tools: DemoTools): Promise<DemoReport> {
  const programs = new Programs(tools);
  const interrupt = (): void => void programs.stopAll();
  tools.signal.addEventListener('abort', interrupt, { once: true });
  try {
    return await new Demo(directory, tools, programs).run();
  } finally {
    tools.signal.removeEventListener('abort', interrupt);
    await programs.stopAll();
  }
}

class Demo {
  readonly #directory: string;
  readonly #installation: string;
  readonly #rootFile: string;
  readonly #tools: DemoTools;
  readonly #programs: Programs;

  constructor(directory: string, tools: DemoTools, programs: Programs) {
    this.#directory = directory;
    this.#installation = path.join(directory, 'installation');
    this.#rootFile = path.join(this.#installation, 'root.json');
    this.#tools = tools;
    this.#programs = programs;
  }

  async run(): Promise<DemoReport> {
    const { clock, narrator } = this.#tools;
    const began = clock.now();
    const uploads = await readRealUploads();
    const onlineKeyid = await this.#ceremony();
    const bins = await this.#found();
    const existing = await this.#backsignExisting(uploads);
    const service = await this.#serve();
    const { address } = service;
    const oldTimestamp = await this.#timestamp(address);
    const release = await this.#releaseDay(address, uploads);
    const prize = await this.#publishWheel(address);
    const snapshot = await this.#independentClient(address, uploads, prize);

    narrator.step('Mirrors that lie: the same client reads from copies that were tampered with');
    narrator.labelled('the honest copy', 'accepted');
    const attacks = await attackClients({
      address,
      rootFile: this.#rootFile,
      directory: path.join(this.#directory, 'mirror-clients'),
      prize,
      oldTimestamp,
    });
    for (const { name, refused } of attacks) {
      narrator.labelled(name, `refused: ${refused.message.replaceAll(/[0-9a-f]{64}/g, short)}`);
    }

    const sound = await this.#lastLook(service);
    return {
      directory: this.#directory,
      ceremony: { holders: HOLDERS, threshold: THRESHOLD, onlineKeyid },
      bins,
      existing,
      release,
      download: { path: prize.path, length: prize.bytes.length, sha256: sha256Hex(prize.bytes) },
      snapshot,
      attacks,
      sound,
      seconds: (clock.now() - began) / 1000,
    };
  }

  async #ceremony(): Promise<string> {
    const { narrator } = this.#tools;
    narrator.step('A ceremony, rehearsed: three key holders, two of whom must sign');
    await mkdir(this.#installation);
    const program = 'countersign-ceremony';
    const args = ['rehearse', '--out', '.', '--holders', `${HOLDERS}`, '--threshold', `${THRESHOLD}`];
    narrator.command([program, ...args]);
    const answer = await this.#programs.run({ program, args, cwd: this.#installation });
    const { onlineKeyid } = expectAnswer(Rehearsed, answer);
    narrator.outcome(`root, targets and bins are signed; the online key is ${onlineKeyid.slice(0, 12)}…`);
    return onlineKeyid;
  }

  async #found(): Promise<number> {
    const { narrator } = this.#tools;
    narrator.step("The repository is founded on the ceremony's bundle");
    const { snapshot, bins } = expectAnswer(Founded, await this.#countersign('bootstrap', 'bundle.json'));
    narrator.outcome(`snapshot ${snapshot} with ${bins} empty bins, verified as a client would`);
    return bins;
  }

  async #serve(): Promise<RunningService> {
    const { narrator } = this.#tools;
    narrator.step('The service starts');
    narrator.command([`COUNTERSIGN_LISTEN=${LISTEN}`, 'countersign', 'serve']);
    const service = await this.#programs.serve(
      this.#installation,
      LISTEN,
      path.join(this.#directory, 'service.log'),
    );
    narrator.outcome(`listens on ${service.address}`);
    return service;
  }

  async #backsignExisting({ existing }: RealUploads): Promise<{ files: number; snapshot: number }> {
    const { clock, narrator } = this.#tools;
    const projects = new Set(existing.map(({ project }) => project)).size;
    narrator.step(`What the index already serves: ${existing.length} real uploads of ${projects} projects`);
    const file = path.join(this.#directory, 'existing.ndjson');
    const lines = existing.map(({ path: target, length, sha256 }) =>
      JSON.stringify({ path: target, length, sha256 }),
    );
    await writeFile(file, `${lines.join('\n')}\n`);
    const began = clock.now();
    const args = ['backsign', '--manifest', path.join('..', 'existing.ndjson')];
    const { files, digest, result } = expectAnswer(Backsigned, await this.#countersign(...args));
    expectFact(result.agreed === existing.length, `only ${result.agreed} files were back-signed`);
    const seconds = ((clock.now() - began) / 1000).toFixed(1);
    narrator.outcome(`${files} back-signed in snapshot ${result.snapshot}, in ${seconds} s`);
    narrator.outcome(`digest of all files: ${short(digest)}, the same for whoever signs them`);
    return { files, snapshot: result.snapshot };
  }

  async #releaseDay(address: string, { release }: RealUploads): Promise<ReleaseDay> {
    const { narrator } = this.#tools;
    const [first] = release;
    narrator.step(
      `A release: the ${release.length} files of ${first?.project ?? ''} ${first?.version ?? ''}, one event each`,
    );
    narrator.outcome(`POST ${address}/v1/events`);
    const day = await sendRelease(address, release, this.#tools);
    narrator.outcome(
      `${day.events} accepted with 202, public in snapshots ${day.firstSnapshot} to ${day.lastSnapshot}`,
    );
    narrator.outcome(`from 202 to public: median ${day.medianMs} ms, slowest ${day.slowestMs} ms`);
    return day;
  }

  /** The contents of the real uploads are not at hand, so the file that is downloaded is made here. */
  async #publishWheel(address: string): Promise<{ path: string; bytes: Uint8Array }> {
    const { narrator } = this.#tools;
    narrator.step('A wheel that can be downloaded, and its index page, in one event');
    const { fileName, bytes } = makeWheel(
      'countersign_demo',
      '1.0',
      'GREETING = "signed, sealed, delivered"\n',
    );
    const wheel = `demo/${fileName}`;
    const page = 'simple/countersign-demo/index.html';
    const link = `<a href="/targets/${wheel}#sha256=${sha256Hex(bytes)}">${fileName}</a>`;
    await this.#putFile(wheel, bytes);
    await this.#putFile(page, utf8(`<!DOCTYPE html>\n<title>countersign-demo</title>\n${link}\n`));
    const adds = [wheel, page].flatMap((target) => ['--add', `${target}=files/${target}`]);
    const args = ['publish', ...adds, '--url', address];
    const { published, snapshot } = expectAnswer(Published, await this.#countersign(...args));
    expectFact(published === 1, `${published} events were published, expected 1`);
    narrator.outcome(`both are public since snapshot ${snapshot}`);
    return { path: wheel, bytes };
  }

  async #putFile(target: string, bytes: Uint8Array): Promise<void> {
    const file = path.join(this.#installation, 'files', target);
    await mkdir(path.dirname(file), { recursive: true });
    await writeFile(file, bytes);
  }

  async #independentClient(
    address: string,
    { release }: RealUploads,
    prize: { path: string; bytes: Uint8Array },
  ): Promise<number> {
    const { narrator } = this.#tools;
    narrator.step('An independent client, tuf-js, which knows nothing but root.json');
    const client = await OutsideClient.create(path.join(this.#directory, 'client'), this.#rootFile);
    const snapshot = await client.refresh(address);
    narrator.labelled('refreshed', `snapshot ${snapshot}, every signature verified`);
    const upload = release.at(-1);
    expectFact(upload !== undefined, 'there are no uploads of a release');
    const listed = await client.look(address, upload.path);
    const agrees = listed?.length === upload.length && listed.sha256 === upload.sha256;
    const name = path.basename(upload.path);
    expectFact(agrees, `tuf-js does not find ${name} as it was uploaded`);
    narrator.labelled('looked up', `${name}: ${upload.length} bytes, sha256 ${short(upload.sha256)}`);
    const file = await client.download(address, prize.path);
    expectFact(equalBytes(await readFile(file), prize.bytes), `${file} is not what was published`);
    const { base } = path.parse(prize.path);
    narrator.labelled('downloaded', `${base}: ${prize.bytes.length} bytes, as published`);
    return snapshot;
  }

  async #lastLook(service: RunningService): Promise<boolean> {
    const { narrator } = this.#tools;
    narrator.step('A last look: the service is healthy, stops when asked, and the repository is whole');
    const status = await this.#countersign('status', '--url', service.address);
    expectFact(expectAnswer(Status, status).healthy, 'the service is not healthy');
    narrator.outcome('healthy: what is published is fresh');
    await service.stop();
    const { sound } = expectAnswer(Checked, await this.#countersign('fsck'));
    expectFact(sound, 'the repository breaks a rule');
    narrator.outcome('sound: every file of the repository was read, and no rule is broken');
    return sound;
  }

  async #timestamp(address: string): Promise<Uint8Array> {
    const response = await fetch(`${address}/metadata/timestamp.json`, { signal: this.#tools.signal });
    expectFact(response.ok, `the service answered ${response.status} to a request for timestamp.json`);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** Types a command in the installation's directory. */
  #countersign(...args: readonly string[]): Promise<unknown> {
    this.#tools.narrator.command(['countersign', ...args]);
    return this.#programs.run({ program: 'countersign', args, cwd: this.#installation });
  }
}

function expectAnswer<T extends TSchema>(schema: T, answer: unknown): Static<T> {
  expectFact(
    Value.Check(schema, answer),
    `an answer has another form than expected: ${JSON.stringify(answer)}`,
  );
  return answer;
}

function short(sha256: string): string {
  return `${sha256.slice(0, 12)}…`;
}
