// countersign plan: what metadata costs an index and its clients, before anything is set up.
import { InvalidArgumentError, type Command } from 'commander';
import { DELEGATION_FORMATS, type DelegationFormat } from '../tuf/delegations.ts';
import {
  bestBinCount,
  clientCost,
  dayCost,
  metadataSizes,
  type ClientCost,
  type DayCost,
  type MetadataSizes,
} from '../tuf/overhead.ts';
import { BinLayout } from '../tuf/bins.ts';
import { CountersignError } from '../lib/errors.ts';
import type { Perform } from './session.ts';

/** Packages in one installation: one, a small environment, a large one. */
const INSTALLS = [1, 20, 200] as const;

interface PlanOptions {
  readonly targets: number;
  readonly bins?: number;
  readonly format: string;
  readonly pathBytes: number;
  readonly fileBytes?: number;
  readonly uploads: number;
  readonly clients: number;
  readonly interval: number;
  readonly priceWrites: number;
  readonly priceReads: number;
  readonly priceGb: number;
}

export function addPlanCommand(program: Command, perform: Perform): void {
  program
    .command('plan')
    .description('what metadata costs your index and its clients, and how many bins suit it')
    .requiredOption('--targets <n>', 'target files of the index', number)
    .option('--bins <n>', 'number of bins; without it, the advised one', number)
    .option('--format <form>', `form of the delegation: ${DELEGATION_FORMATS.join(' or ')}`, 'succinct')
    .option('--path-bytes <n>', 'bytes of a target path, on average', number, 115)
    .option('--file-bytes <n>', 'bytes of a package, on average: overhead is told in per cent of it', number)
    .option('--uploads <n>', 'uploads a day', number, 0)
    .option('--clients <n>', 'client updates a day that reach the store, each for 20 packages', number, 0)
    .option('--interval <seconds>', 'seconds between two publications at least', number, 1)
    .option('--price-writes <p>', 'price of 1,000 write requests', number, 0)
    .option('--price-reads <p>', 'price of 1,000 read requests', number, 0)
    .option('--price-gb <p>', 'price of 1 GB (10^9 bytes) that leaves the store', number, 0)
    .addHelpText(
      'after',
      `
Sizes are those of the files that the service writes, uncompressed, three digits for the version of a bin.
A returning client has the roles that seldom change, and no current bin: bins are signed again twice a day.
The advice is the number of bins for which a returning client that installs 20 packages downloads least.
Prices are yours: none is built in.

Examples:
  countersign plan --targets 100000
  countersign plan --targets 16400000 --bins 16384 --file-bytes 2000000
  countersign plan --targets 1000000 --uploads 5000 --clients 200000 --price-writes 0.005 --price-reads 0.0004 --json`,
    )
    .action(
      perform((_session, given) => {
        const options = given as unknown as PlanOptions;
        const plan = planOf(options);
        return Promise.resolve({ json: plan, text: planText(plan, options) });
      }),
    );
}

interface Plan {
  readonly targets: number;
  readonly bins: number;
  readonly targetsPerBin: number;
  /** By packages of an installation. */
  readonly advised: Readonly<Record<string, number | undefined>>;
  readonly bytes: MetadataSizes & { readonly allBins: number };
  readonly clients: readonly (ClientCost & {
    readonly newPercent?: number;
    readonly returningPercent?: number;
  })[];
  readonly day: DayCost & { readonly price: number };
}

function planOf(options: PlanOptions): Plan {
  const { targets, pathBytes, fileBytes } = options;
  const format = DELEGATION_FORMATS.find((each) => each === options.format);
  if (format === undefined) {
    throw new CountersignError('usage', `format ${options.format} is not ${DELEGATION_FORMATS.join(' or ')}`);
  }
  if (pathBytes < 8) throw new CountersignError('usage', `paths of ${pathBytes} bytes, expected 8 at least`);
  const shape = { targets, format: format satisfies DelegationFormat, pathBytes, versionDigits: 3 };
  const advised = Object.fromEntries(INSTALLS.map((packages) => [packages, bestBinCount(shape, packages)]));
  const bins = options.bins ?? advised['20'];
  if (bins === undefined) {
    throw new CountersignError(
      'usage',
      `no number of bins holds ${targets} targets: clients read no larger files`,
    );
  }
  const { count } = new BinLayout(bins);
  const sizes = metadataSizes({ ...shape, bins: count });
  const day = dayCost(sizes, count, {
    uploads: options.uploads,
    clients: options.clients,
    packages: 20,
    intervalSeconds: options.interval,
  });
  const percent = (bytes: number, packages: number): number =>
    Math.round((1000 * bytes) / (packages * (fileBytes ?? 1))) / 10;
  return {
    targets,
    bins: count,
    targetsPerBin: Math.round((10 * targets) / count) / 10,
    advised,
    bytes: { ...sizes, allBins: count * sizes.bin },
    clients: INSTALLS.map((packages) => {
      const cost = clientCost(sizes, count, packages);
      if (fileBytes === undefined) return cost;
      const newPercent = percent(cost.newBytes, packages);
      return { ...cost, newPercent, returningPercent: percent(cost.returningBytes, packages) };
    }),
    day: {
      ...day,
      price:
        (day.writes / 1000) * options.priceWrites +
        (day.reads / 1000) * options.priceReads +
        (day.readBytes / 1e9) * options.priceGb,
    },
  };
}

function planText(
  { targets, bins, targetsPerBin, advised, bytes, clients, day }: Plan,
  options: PlanOptions,
): string {
  const advice = INSTALLS.map((packages) => `${count(advised[String(packages)] ?? 0)} for ${packages}`);
  const lines = [
    `${count(targets)} targets in ${count(bins)} bins, ${count(targetsPerBin)} in each (${options.format})`,
    `a returning client downloads least with ${advice.join(', ')} packages in one installation`,
    '',
    row('file', 'bytes', ''),
    ...(['timestamp', 'snapshot', 'targets', 'bins', 'bin'] as const).map((role) =>
      row(role === 'bin' ? 'a bin' : role, count(bytes[role]), ''),
    ),
    row('all bins', count(bytes.allBins), ''),
    '',
    row('installs', 'new client', 'returning client'),
    ...clients.map(({ packages, newBytes, returningBytes, newPercent, returningPercent }) =>
      row(String(packages), told(newBytes, newPercent), told(returningBytes, returningPercent)),
    ),
    '',
    row('a day', 'requests', 'bytes'),
    row('written', count(day.writes), count(day.writtenBytes)),
    row('read', count(day.reads), count(day.readBytes)),
    `${count(day.publications)} publications a day${day.price > 0 ? `, price ${day.price.toFixed(2)}` : ''}`,
  ];
  // PEP 458 "Metadata Scalability": "This number of bins SHOULD increase when the metadata overhead for returning users
  // exceeds 50%".
  if ((clients[0]?.returningPercent ?? 0) > 50) {
    lines.push(
      'a returning client pays more than half of a package for metadata: PEP 458 asks for another number of bins',
    );
  }
  return lines.join('\n');
}

function row(label: string, first: string, second: string): string {
  return `${label.padEnd(10)} ${first.padStart(24)} ${second.padStart(24)}`.trimEnd();
}

function told(bytes: number, percent: number | undefined): string {
  return percent === undefined ? count(bytes) : `${count(bytes)} (${percent} %)`;
}

function count(value: number): string {
  return value.toLocaleString('en');
}

function number(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isFinite(value) || value < 0) {
    throw new InvalidArgumentError('expected a number from 0 on.');
  }
  return value;
}
