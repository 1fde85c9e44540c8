// Three nodes of one index on PostgreSQL and a bucket, and whatever commands are run beside them.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { PASSWORD, startPostgres, type PostgresServer } from '../../scripts/interop/postgres-server.ts';
import { BUCKET, CREDENTIALS, startS3Server, type S3Server } from '../../scripts/interop/s3-server.ts';
import { eventually } from '../support/publisher-process.ts';
import { installIndex } from './installed-index.ts';

/** Milliseconds: two cores may have much else to do. */
export const WAIT_MS = 90_000;

/** A line of a node's log. */
export interface Line {
  readonly msg: string;
  readonly bins?: number;
  readonly address?: string;
}

export interface Node {
  readonly child: ChildProcess;
  readonly ended: Promise<[number | null]>;
  readonly lines: Line[];
}

/** Who holds the lease, by its own word. */
export async function publisherOf(nodes: readonly Node[]): Promise<Node> {
  for (const node of alive(nodes)) {
    const { address } = node.lines.find(({ msg }) => msg === 'listening')!;
    const status = (await (await fetch(`${address}/v1/status`)).json()) as { publisher: { role: string } };
    if (status.publisher.role === 'publishing') return node;
  }
  throw new Error('no node publishes');
}

export function said({ lines }: Node, msg: string): number {
  return lines.filter((line) => line.msg === msg).length;
}

export function alive(nodes: readonly Node[]): Node[] {
  return nodes.filter(({ child }) => child.exitCode === null && child.signalCode === null);
}

/** The servers that the nodes share. */
export interface Servers {
  readonly postgres: PostgresServer;
  readonly s3: S3Server;
  readonly stop: () => Promise<void>;
}

export async function startServers(): Promise<Servers> {
  const postgres = await startPostgres();
  const s3 = await startS3Server();
  return {
    postgres,
    s3,
    stop: async () => {
      await s3.stop();
      await postgres.stop();
    },
  };
}

export type Index = Awaited<ReturnType<typeof foundIndex>>;

let founded = 0;

/** `prepare`: makes the folder of the installation, with its bundle, in the place of a rehearsal with `bins`. */
export async function foundIndex(
  { postgres, s3 }: Servers,
  bins: number,
  prepare?: (folder: string) => Promise<Record<string, string>>,
) {
  const { port, user, database } = await postgres.createDatabase(`shared_${++founded}`);
  const index = await installIndex({
    bins,
    settings: {
      ...CREDENTIALS,
      COUNTERSIGN_STORE: `s3://${BUCKET}/shared-${founded}?endpoint=${s3.endpoint}&path-style=true`,
      COUNTERSIGN_LEDGER: `postgres://${user}@127.0.0.1:${port}/${database}`,
      COUNTERSIGN_LEDGER_PASSWORD: PASSWORD,
      COUNTERSIGN_LOG_LEVEL: 'info',
    },
    ...(prepare && { prepare }),
  });
  const serve = (): Node => {
    const child = index.start('serve', '--json');
    child.stdout?.resume();
    const lines: Line[] = [];
    createInterface({ input: child.stderr! }).on('line', (line) => {
      if (line.startsWith('{')) lines.push(JSON.parse(line) as Line);
    });
    return { child, ended: once(child, 'close') as Promise<[number | null]>, lines };
  };
  const serveThree = async (): Promise<Node[]> => {
    const nodes = [serve(), serve(), serve()];
    for (const node of nodes) await eventually('it listens', () => said(node, 'listening') > 0, WAIT_MS);
    return nodes;
  };
  return { folder: index.folder, serveThree, run: index.run };
}
