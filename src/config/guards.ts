// What no single value can show: settings that contradict each other or would put a secret where it is served.
import path from 'node:path';
import { formatDuration } from '../lib/duration.ts';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { isLoopbackHost, type LedgerSetting, type ListenSetting, type SignerSetting } from './backends.ts';
import type { StoreSetting, TargetsSetting } from './backends.ts';
import type { Given } from './settings.ts';
import { secretFiles } from './signer-uri.ts';

/** Ten years: a longer duration is a slip of the finger, and dates beyond year 9999 have no TUF form. */
const MAX_DURATION_MS = 3650 * 86_400_000;

const MINUTE_MS = 60_000;

/** The least duration of each setting. */
const MINIMUM_MS: Readonly<Record<string, number>> = {
  'lifetimes.timestamp': MINUTE_MS,
  'lifetimes.snapshot': MINUTE_MS,
  // Every bin is renewed before it expires: 16,384 of them in five minutes are 55 a second.
  'lifetimes.bin': 10 * MINUTE_MS,
  'retention.snapshots': MINUTE_MS,
  'retention.events': MINUTE_MS,
};

/** Milliseconds of a duration setting, within its bounds. */
export function duration(key: string, given: Given, parse: (text: string) => number): number {
  let ms: number;
  try {
    ms = parse(String(given.value));
  } catch (error) {
    throw invalid(`${given.source}: ${messageOf(error)}`);
  }
  const minimum = MINIMUM_MS[key] ?? 0;
  if (ms < minimum)
    throw invalid(`${given.source} is ${String(given.value)}, the least is ${formatDuration(minimum)}`);
  if (ms > MAX_DURATION_MS) {
    throw invalid(
      `${given.source} is ${String(given.value)}, the most is ${formatDuration(MAX_DURATION_MS)}`,
    );
  }
  return ms;
}

/** Two settings that are given together or not at all. */
export function pair(
  firstKey: string,
  first: string | undefined,
  secondKey: string,
  second: string | undefined,
): readonly [string, string] | undefined {
  if (first === undefined && second === undefined) return undefined;
  if (first === undefined) throw invalid(`${secondKey} is set without ${firstKey}; set both or none`);
  if (second === undefined) throw invalid(`${firstKey} is set without ${secondKey}; set both or none`);
  return [first, second];
}

interface Checked {
  readonly store: StoreSetting;
  readonly ledger: LedgerSetting;
  readonly signer: SignerSetting;
  readonly nextSigner?: SignerSetting;
  readonly targets: TargetsSetting;
  readonly listen: ListenSetting;
  readonly tls?: { readonly key: string };
  readonly auth?: { readonly tokens: string };
  readonly publish: { readonly minIntervalMs: number };
  readonly lifetimes: { readonly timestampMs: number; readonly snapshotMs: number; readonly binMs: number };
  readonly retention: { readonly snapshotsMs: number; readonly eventsMs: number };
}

/** @throws CountersignError `config-invalid` that names both settings. */
export function checkTogether(
  config: Checked,
  secretFiles: Readonly<Record<string, string | undefined>>,
): void {
  const { publish, lifetimes, retention, listen } = config;
  if (config.auth === undefined && !isLoopbackHost(listen.host)) {
    throw invalid(
      `listen is ${listen.host}, which other computers reach, and nobody is asked for a token; set auth.tokens or listen on 127.0.0.1`,
    );
  }
  for (const [key, ms] of [
    ['timestamp', lifetimes.timestampMs],
    ['snapshot', lifetimes.snapshotMs],
    ['bin', lifetimes.binMs],
  ] as const) {
    // A role is renewed by a publication: the next one must come in time.
    if (publish.minIntervalMs * 2 > ms) {
      throw invalid(
        `publish.min-interval-ms is ${publish.minIntervalMs}, more than half of lifetimes.${key} (${formatDuration(ms)}): it would expire before it is renewed`,
      );
    }
  }
  if (retention.eventsMs < retention.snapshotsMs) {
    throw invalid(
      `retention.events (${formatDuration(retention.eventsMs)}) is shorter than retention.snapshots (${formatDuration(retention.snapshotsMs)})`,
    );
  }
  checkPrivatePaths(config, secretFiles);
}

/** Store and target files are public: nothing private may be below their directories. */
function checkPrivatePaths(config: Checked, secretFiles: Readonly<Record<string, string | undefined>>): void {
  const open: { readonly key: string; readonly directory: string }[] = [];
  if (config.store.kind === 'file') open.push({ key: 'store', directory: config.store.directory });
  if (config.targets.kind === 'file') open.push({ key: 'targets', directory: config.targets.directory });
  const closed: readonly (readonly [string, string | undefined])[] = [
    ['ledger', config.ledger.kind === 'sqlite' ? config.ledger.path : undefined],
    ...filesOf('signer', config.signer),
    ...(config.nextSigner === undefined ? [] : filesOf('next-signer', config.nextSigner)),
    ...Object.entries(secretFiles),
    ['auth.tokens', config.auth?.tokens],
    ['tls.key', config.tls?.key],
  ];
  for (const { key, directory } of open) {
    for (const [name, file] of closed) {
      if (file !== undefined && isInside(directory, file)) {
        throw invalid(
          `${name} is ${file}, inside the directory of ${key} (${directory}), which is public; move it out`,
        );
      }
    }
  }
}

function filesOf(key: string, signer: SignerSetting): (readonly [string, string | undefined])[] {
  const files = signer.kind === 'file' ? [signer.path] : secretFiles(signer);
  return files.map((file) => [key, file]);
}

function isInside(directory: string, file: string): boolean {
  const relative = path.relative(directory, file);
  return relative !== '..' && !relative.startsWith(`..${path.sep}`) && !path.isAbsolute(relative);
}

function invalid(message: string): CountersignError {
  return new CountersignError('config-invalid', message);
}
