// Asks for a plan, one question at a time, with a default wherever there is a sensible one.
import { formatDuration, parseDuration } from '../src/lib/duration.ts';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { formatExpires } from '../src/tuf/lifetimes.ts';
import { BinLayout } from '../src/tuf/bins.ts';
import type { DelegationFormat } from '../src/tuf/delegations.ts';
import { CEREMONY_DEFAULTS, MAX_HOLDERS } from './defaults.ts';
import { PLAN_NAME, type CeremonyKind } from './plan.ts';
import type { StateBefore } from './plan-wizard-before.ts';
import { askUntil, wrongAnswer } from './terminal-questions.ts';
import type { Terminal } from './terminal.ts';

/** What was answered; plan-wizard-text.ts writes it down. */
export interface WizardAnswers {
  readonly ceremony: string;
  readonly kind: CeremonyKind;
  readonly why: string;
  /** Milliseconds since the epoch. */
  readonly date: number;
  readonly nextCeremony: number;
  readonly holders: readonly string[];
  readonly threshold: number;
  /** Milliseconds. */
  readonly rootLifetimeMs: number;
  /** `keep`: targets and bins stay as they are. */
  readonly roles:
    'keep' | { readonly lifetimeMs: number; readonly bins: number; readonly format: 'succinct' | 'prefixes' };
  /** Files with public keys. */
  readonly online: readonly string[];
}

const DAY_MS = 86_400_000;

/** Days between two ceremonies unless told otherwise: two months are left before anything expires. */
const NEXT_AFTER_DAYS = 305;

/**
 * Asks.
 * @param now milliseconds since the epoch.
 * @param before What there is today: suggested wherever a plan may leave it as it is.
 * @throws CountersignError of the third answer in a row that does not fit; `interrupted`.
 */
export async function askForPlan(
  terminal: Terminal,
  now: number,
  before?: StateBefore,
): Promise<WizardAnswers> {
  const kind = await askKind(terminal, before);
  const year = new Date(now).getUTCFullYear();
  const suggested = `${year}-${kind === 'genesis' ? 'genesis' : 'renewal'}`;
  const ceremony = await asked(terminal, 'Its name', suggested, readName);
  const why = await asked(terminal, 'Why is it held? One sentence or more', undefined, readWhy);
  const date = await asked(
    terminal,
    'Its date, from which every expiry counts',
    formatExpires(now),
    readDate,
  );
  const next = formatExpires(date + NEXT_AFTER_DAYS * DAY_MS).slice(0, 10);
  const nextCeremony = await asked(terminal, 'The date of the next one', next, (text) => {
    const read = readDate(text);
    if (read <= date) throw wrongAnswer(`${text} is not after ${formatExpires(date)}, the date of this one`);
    return read;
  });
  const holders = await asked(
    terminal,
    'Who holds root keys after it? Names, with blanks between them',
    suggestedHolders(kind, before),
    readHolders,
  );
  const least = before?.threshold ?? Math.max(CEREMONY_DEFAULTS.threshold, Math.ceil(holders.length / 2));
  const usual = Math.min(holders.length, least);
  const threshold = await asked(
    terminal,
    `How many of these ${holders.length} must sign`,
    String(usual),
    (text) => readNumber(text, 1, holders.length),
  );
  // Root must outlive the next ceremony with time to spare.
  const leastMs = nextCeremony - date;
  const rootLifetimeMs = await askLifetime(
    terminal,
    'How long does root live',
    CEREMONY_DEFAULTS.rootLifetimeMs,
    leastMs,
  );
  const keep =
    kind === 'update' &&
    (await terminal.confirm('Do targets and bins stay exactly as they are?', { default: false }));
  const roles = keep ? 'keep' : await askRoles(terminal, leastMs, kind, before);
  const online = await asked(
    terminal,
    'Files with the public online key (two while one follows the other)',
    suggestedOnline(before),
    readFiles,
  );
  return { ceremony, kind, why, date, nextCeremony, holders, threshold, rootLifetimeMs, roles, online };
}

async function askKind(terminal: Terminal, before: StateBefore | undefined): Promise<CeremonyKind> {
  if (before === undefined) {
    return terminal.choose<CeremonyKind>('What kind of ceremony is it?', [
      { value: 'genesis', title: 'the first one: there is no root yet' },
      { value: 'update', title: 'a later one: it follows previous.json, the bundle of the one before' },
    ]);
  }
  terminal.say(`previous.json is there: this ceremony follows root ${before.root}`);
  for (const keyid of before.unnamed) {
    terminal.say(`holders/ has no public key of ${keyid}, which root ${before.root} names`);
  }
  for (const keyid of before.onlineUnnamed) {
    terminal.say(`no .pub.json beside the plan has the online key ${keyid}, which root ${before.root} names`);
  }
  return 'update';
}

/** Nothing is suggested for a later ceremony whose previous.json is not there: it would be a guess. */
function suggestedHolders(kind: CeremonyKind, before: StateBefore | undefined): string | undefined {
  if (before !== undefined) return before.holders.length === 0 ? undefined : before.holders.join(' ');
  if (kind === 'update') return undefined;
  return Array.from({ length: CEREMONY_DEFAULTS.holders }, (_, index) => `holder-${index + 1}`).join(' ');
}

/** Nothing is suggested where a key that is in use would be left out by it. */
function suggestedOnline(before: StateBefore | undefined): string | undefined {
  if (before === undefined) return 'online.pub.json';
  return before.onlineUnnamed.length === 0 ? before.online.join(' ') : undefined;
}

async function askRoles(
  terminal: Terminal,
  leastMs: number,
  kind: CeremonyKind,
  before: StateBefore | undefined,
): Promise<Exclude<WizardAnswers['roles'], 'keep'>> {
  const lifetimeMs = await askLifetime(
    terminal,
    'How long do targets and bins live',
    CEREMONY_DEFAULTS.targetsLifetimeMs,
    leastMs,
  );
  const suggested = kind === 'genesis' ? CEREMONY_DEFAULTS.bins : before?.bins.count;
  const bins = await asked(
    terminal,
    'Number of bins, a power of two',
    suggested === undefined ? undefined : String(suggested),
    (text) => {
      const count = readNumber(text, 2, 32_768);
      try {
        return new BinLayout(count).count;
      } catch (error) {
        throw wrongAnswer(messageOf(error));
      }
    },
  );
  const asBefore = (format: DelegationFormat): string =>
    format === before?.bins.format ? ' (as before)' : '';
  const format = await terminal.choose<DelegationFormat>('How are bins delegated?', [
    {
      value: 'succinct',
      title: `TAP 15: small files; python-tuf, tuf-js and newer go-tuf read it${asBefore('succinct')}`,
    },
    {
      value: 'prefixes',
      title: `hash prefixes: large files; tough and older clients read it${asBefore('prefixes')}`,
    },
  ]);
  return { lifetimeMs, bins, format };
}

function askLifetime(terminal: Terminal, question: string, usual: number, least: number): Promise<number> {
  return asked(terminal, question, formatDuration(usual), (text) => {
    const ms = parseDuration(text);
    if (ms > least) return ms;
    throw wrongAnswer(
      `${text} ends before the next ceremony, which is ${Math.ceil(least / DAY_MS)} days after this one`,
    );
  });
}

function asked<T>(
  terminal: Terminal,
  question: string,
  usual: string | undefined,
  read: (text: string) => T,
): Promise<T> {
  return askUntil(
    terminal,
    () => terminal.ask(usual === undefined ? question : `${question} [${usual}]`),
    (text) => {
      try {
        return read(text === '' && usual !== undefined ? usual : text);
      } catch (error) {
        if (error instanceof CountersignError) throw wrongAnswer(error.message);
        throw error;
      }
    },
  );
}

function readName(text: string): string {
  if (PLAN_NAME.test(text)) return text;
  throw wrongAnswer(`${JSON.stringify(text)} is no name: lower-case letters, digits and dashes, at most 64`);
}

function readWhy(text: string): string {
  if (text.length >= 3) return text;
  throw wrongAnswer('please say why: it is read out on the day, and in years');
}

function readDate(text: string): number {
  const full = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text;
  const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(full) ? Date.parse(full) : Number.NaN;
  // Date.parse reads February 30 as March 2.
  if (!Number.isNaN(ms) && formatExpires(ms) === full) return ms;
  throw wrongAnswer(`${JSON.stringify(text)} is no date like 2027-01-15 or 2027-01-15T10:00:00Z`);
}

function readHolders(text: string): string[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  names.forEach(readName);
  if (names.length === 0 || names.length > MAX_HOLDERS) {
    throw wrongAnswer(`${names.length} names were given, expected 1 to ${MAX_HOLDERS}`);
  }
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice === undefined) return names;
  throw wrongAnswer(`${twice} stands there twice`);
}

function readNumber(text: string, least: number, most: number): number {
  const number = /^\d{1,6}$/.test(text) ? Number(text) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw wrongAnswer(`${JSON.stringify(text)} is no whole number from ${least} to ${most}`);
}

function readFiles(text: string): string[] {
  const names = text.split(/[\s,]+/).filter((name) => name !== '');
  const fits = (name: string): boolean => /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}$/.test(name);
  if (names.length < 1 || names.length > 2 || new Set(names).size !== names.length) {
    throw wrongAnswer(`${names.length} files were named, expected one, or two different ones`);
  }
  const wrong = names.find((name) => !fits(name));
  if (wrong === undefined) return names;
  throw wrongAnswer(`${JSON.stringify(wrong)} is not the name of a file beside the plan`);
}
