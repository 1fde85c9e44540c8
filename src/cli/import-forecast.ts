// What an import would do, in words, before anybody orders it.
import { CountersignError } from '../lib/errors.ts';
import { readPublicState, type PublicState } from '../publish/public-state.ts';
import { forecastRebin, type RebinForecast } from '../publish/rebin-forecast.ts';
import { openLedger, openStore } from '../open-ports.ts';
import type { BinLayout } from '../tuf/bins.ts';
import type { VerifiedBundle } from '../tuf/bundle.ts';
import type { Session } from './session.ts';

export interface ImportForecast {
  /** Roles of which the bundle has another version than the published one. */
  readonly roles: readonly { readonly role: string; readonly published: number; readonly bundle: number }[];
  readonly format: { readonly published: string; readonly bundle: string };
  /** Set when the bins become others. */
  readonly rebin?: RebinForecast;
  /** Bytes that a client downloads on its first update after the import, for one target. */
  readonly clientBytes?: { readonly before: number; readonly after: number };
}

/**
 * Compares a bundle with what is public.
 * @throws CountersignError `not-bootstrapped`, `metadata-too-large`; the errors of ledger and store.
 */
export async function forecastImport(session: Session, bundle: VerifiedBundle): Promise<ImportForecast> {
  const { config, secrets } = await session.load();
  const ledger = await openLedger(config, secrets, session.context);
  try {
    const store = await openStore(config, session.context);
    const { published } = await readPublicState(ledger, store);
    const forecast = compare(bundle, published);
    const { layout } = published.snapshot;
    if (bundle.layout.isSame(layout)) return forecast;
    checkNames(bundle.layout, layout);
    const rebin = await forecastRebin(published, bundle.layout, store);
    const mean = ({ bytes, count }: RebinForecast['before']): number => Math.round(bytes / count);
    return {
      ...forecast,
      rebin,
      clientBytes: {
        before: rebin.snapshotBytes + mean(rebin.before),
        after: rebin.snapshotBytesAfter + bundle.bins.bytes.length + mean(rebin.after),
      },
    };
  } finally {
    await ledger.close();
  }
}

function compare(bundle: VerifiedBundle, { roles }: PublicState['published']): ImportForecast {
  const versions = { root: bundle.roots.length, targets: bundle.targets.version, bins: bundle.bins.version };
  return {
    roles: (['root', 'targets', 'bins'] as const)
      .map((role) => ({ role, published: roles.versions[role], bundle: versions[role] }))
      .filter((each) => each.published !== each.bundle),
    format: { published: roles.binTrust.format, bundle: bundle.format },
  };
}

function checkNames(next: BinLayout, current: BinLayout): void {
  if (next.generation > current.generation) return;
  throw new CountersignError(
    'bundle-conflict',
    `the bundle has ${next.count} bins ${next.prefix}-…, ${current.count} bins ${current.prefix}-… are published: names ` +
      'are never used again; plan the ceremony on the roles that are published now',
  );
}

/**
 * A warning when the bundle skips a generation of targets: the root of each ceremony accepts the targets keys of the one
 * before it, and of no earlier one (docs/adr/0017-import.md).
 */
export function skippedCeremonies({ roles }: ImportForecast): string | undefined {
  const targets = roles.find(({ role }) => role === 'targets');
  const root = roles.find(({ role }) => role === 'root');
  if (targets === undefined || root === undefined || targets.bundle - targets.published < 2) return undefined;
  return (
    `the bundle holds the results of several ceremonies (targets ${targets.published} → ${targets.bundle}): a client that ` +
    `updates at this moment may fail once; where the bundle with targets ${targets.published + 1} is at hand, import it first`
  );
}

/** For people. */
export function forecastText({ roles, format, rebin, clientBytes }: ImportForecast): string {
  if (roles.length === 0) return 'everything that the bundle holds is published already';
  const lines = roles.map(({ role, published, bundle }) => `${role} ${published} → ${bundle}`);
  if (format.published !== format.bundle) lines.push(`format ${format.published} → ${format.bundle}`);
  const skipped = skippedCeremonies({ roles, format });
  const publishes = [`would publish: ${lines.join(', ')}`, ...(skipped === undefined ? [] : [skipped])];
  if (rebin === undefined) return publishes.join('\n');
  const { before, after } = rebin;
  return [
    ...publishes,
    `${number(before.count)} bins ${before.prefix}-… become ${number(after.count)} bins ${after.prefix}-…`,
    `  a bin      ${size(before.bytes / before.count)} now (largest ${size(before.largestBytes)}), ` +
      `${size(after.bytes / after.count)} then (largest ${size(after.largestBytes)})`,
    `  snapshot   ${size(rebin.snapshotBytes)} now, ${size(rebin.snapshotBytesAfter)} then: it goes on naming the bins of before`,
    `  written    ${size(after.bytes)} in ${number(rebin.preparations + 1)} publications, uploads in between`,
    ...(clientBytes === undefined
      ? []
      : [
          `  clients    one target on the first update: ${size(clientBytes.before)} now, ${size(clientBytes.after)} then; bins ` +
            'that they know are of no use any more',
        ]),
  ].join('\n');
}

function number(value: number): string {
  return value.toLocaleString('en');
}

function size(bytes: number): string {
  if (bytes < 1000) return `${Math.round(bytes)} B`;
  if (bytes < 1_000_000) return `${(bytes / 1000).toFixed(1)} KB`;
  return bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;
}
