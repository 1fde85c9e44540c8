// plan.yaml to a Plan, strictly: an unknown key, a second document, an alias, a value out of range is refused with its
// line and column. What the plan means, and whether it is wise, is the business of the lint rules.
import { parseDuration } from '../src/lib/duration.ts';
import { CountersignError, messageOf } from '../src/lib/errors.ts';
import { nearMatches } from '../src/lib/near-match.ts';
import { printable } from '../src/lib/printable.ts';
import { parsePlacedYaml, type PlacedYaml, type YamlMap, type YamlValue } from '../src/lib/strict-yaml.ts';
import { BinLayout } from '../src/tuf/bins.ts';
import { DELEGATION_FORMATS } from '../src/tuf/delegations.ts';
import { MAX_BYTES } from './ceremony-folder.ts';
import { MAX_HOLDERS } from './defaults.ts';
import {
  CEREMONY_KINDS,
  PLAN_FORMAT,
  PLAN_NAME,
  UNUSUAL_ALGORITHMS,
  type Plan,
  type PlannedBins,
  type PlannedHolder,
  type PlannedRoot,
  type PlannedSigners,
  type PlannedTargets,
} from './plan.ts';

/** One-time keys of a role, at most: all of them sign, so more add nothing but length. */
const MAX_ONE_TIME_KEYS = 16;
/** Milliseconds: ten years, beyond which no key holder plans. */
const MAX_LIFETIME_MS = 3_650 * 86_400_000;

/** A file inside the folder: parts of plain letters, no part that begins with a dot. */
const FILE_NAME = /^[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}){0,2}$/;

const UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/**
 * Parses a plan.
 * @throws CountersignError `plan-invalid` that names line and column.
 */
export function parsePlan(bytes: Uint8Array): Plan {
  let text: string;
  try {
    text = UTF8.decode(bytes);
  } catch (cause) {
    throw new CountersignError('plan-invalid', 'the plan is not valid UTF-8', { cause });
  }
  return new PlanReader(parsePlacedYaml(text, 'plan-invalid', MAX_BYTES.plan)).plan();
}

class PlanReader {
  readonly #yaml: PlacedYaml;

  constructor(yaml: PlacedYaml) {
    this.#yaml = yaml;
  }

  plan(): Plan {
    const map = this.#yaml.value;
    this.#onlyKeys(map, [], TOP_KEYS);
    this.#oneOf(map.get('format'), ['format'], [PLAN_FORMAT]);
    const holders = this.#holders(map.get('holders'));
    const names = holders.map(({ name }) => name);
    const plan: Plan = {
      ceremony: this.#name(map.get('ceremony'), ['ceremony']),
      kind: this.#oneOf(map.get('kind'), ['kind'], CEREMONY_KINDS),
      why: this.#text(map.get('why'), ['why']).trim(),
      date: this.#date(map.get('date'), ['date']),
      nextCeremony: this.#date(map.get('next-ceremony'), ['next-ceremony']),
      holders,
      root: this.#root(map.get('root'), names),
      targets: this.#targets(map.get('targets'), names),
      bins: this.#bins(map.get('bins'), names),
      online: this.#online(map.get('online')),
      allowAlgorithms: this.#list(map.get('allow-algorithms') ?? [], ['allow-algorithms']).map(
        (value, index) => this.#oneOf(value, ['allow-algorithms', String(index)], UNUSUAL_ALGORITHMS),
      ),
    };
    if (plan.why === '') throw this.#refuse(['why'], 'why is empty, expected one sentence or more');
    // It goes on paper and to screens, years later, as it stands here.
    if (printable(plan.why) !== plan.why) {
      throw this.#refuse(['why'], `why has characters that nobody sees: ${show(printable(plan.why))}`);
    }
    this.#checkKind(plan);
    return plan;
  }

  #checkKind(plan: Plan): void {
    for (const role of ['root', 'targets', 'bins'] as const) {
      if (plan.kind === 'genesis' && plan[role] === 'keep') {
        throw this.#refuse([role], `${role} is keep, but a genesis has no ${role} to keep`);
      }
    }
    if (plan.root === 'keep' && plan.targets === 'keep' && plan.bins === 'keep') {
      throw this.#refuse(['root'], 'root, targets and bins are all keep: nothing would change');
    }
  }

  #holders(value: YamlValue | undefined): PlannedHolder[] {
    const map = this.#map(value, ['holders']);
    if (map.size > MAX_HOLDERS) {
      throw this.#refuse(['holders'], `holders has ${map.size} entries, at most ${MAX_HOLDERS} are read`);
    }
    return [...map].map(([name, entry]) => {
      const path = ['holders', name];
      this.#name(name, path);
      const holder = this.#map(entry, path);
      this.#onlyKeys(holder, path, ['key']);
      return { name, keyFile: this.#file(holder.get('key'), [...path, 'key']) };
    });
  }

  #root(value: YamlValue | undefined, names: readonly string[]): PlannedRoot | 'keep' {
    if (value === 'keep') return 'keep';
    const path = ['root'];
    const map = this.#map(value, path, 'keep, or a mapping');
    this.#onlyKeys(map, path, ['threshold', 'expires-in', 'holders']);
    const holders = map.has('holders') ? this.#holderNames(map.get('holders'), path, names) : names;
    return {
      threshold: this.#wholeNumber(map.get('threshold'), [...path, 'threshold'], MAX_HOLDERS),
      lifetimeMs: this.#lifetime(map.get('expires-in'), path),
      holders,
    };
  }

  #targets(value: YamlValue | undefined, names: readonly string[]): PlannedTargets | 'keep' {
    if (value === 'keep') return 'keep';
    const map = this.#map(value, ['targets'], 'keep, or a mapping');
    const signed = this.#signed(map, 'targets', ['overlap'], names);
    return { ...signed, overlap: this.#boolean(map.get('overlap') ?? true, ['targets', 'overlap']) };
  }

  #bins(value: YamlValue | undefined, names: readonly string[]): PlannedBins | 'keep' {
    if (value === 'keep') return 'keep';
    const map = this.#map(value, ['bins'], 'keep, or a mapping');
    const signed = this.#signed(map, 'bins', ['count', 'format'], names);
    const count = this.#wholeNumber(map.get('count'), ['bins', 'count'], 2 ** 30);
    try {
      new BinLayout(count);
    } catch (error) {
      throw this.#refuse(['bins', 'count'], messageOf(error), error);
    }
    return {
      ...signed,
      count,
      format: this.#oneOf(map.get('format'), ['bins', 'format'], DELEGATION_FORMATS),
    };
  }

  #signed(
    map: YamlMap,
    role: string,
    more: readonly string[],
    names: readonly string[],
  ): { signers: PlannedSigners; lifetimeMs: number } {
    const oneTime = map.has('one-time-keys');
    const keys = oneTime ? ['one-time-keys'] : ['holders', 'threshold'];
    if (!oneTime && !map.has('holders')) {
      throw this.#refuse([role], `${role} has neither one-time-keys nor holders, expected one of them`);
    }
    this.#onlyKeys(map, [role], [...keys, 'expires-in', ...more]);
    return {
      signers: oneTime
        ? {
            use: 'one-time',
            keys: this.#wholeNumber(map.get('one-time-keys'), [role, 'one-time-keys'], MAX_ONE_TIME_KEYS),
          }
        : {
            use: 'holders',
            holders: this.#holderNames(map.get('holders'), [role], names),
            threshold: this.#wholeNumber(map.get('threshold'), [role, 'threshold'], MAX_HOLDERS),
          },
      lifetimeMs: this.#lifetime(map.get('expires-in'), [role]),
    };
  }

  #holderNames(value: YamlValue | undefined, role: readonly string[], known: readonly string[]): string[] {
    const path = [...role, 'holders'];
    const names = this.#list(value, path).map((item, index) =>
      this.#oneOf(item, [...path, String(index)], known),
    );
    this.#distinct(names, path);
    return names;
  }

  #online(value: YamlValue | undefined): string[] {
    const path = ['online'];
    const files = this.#list(value, path).map((item, index) => {
      const place = [...path, String(index)];
      const map = this.#map(item, place);
      this.#onlyKeys(map, place, ['key']);
      return this.#file(map.get('key'), [...place, 'key']);
    });
    if (files.length < 1 || files.length > 2) {
      throw this.#refuse(path, `online has ${files.length} keys, expected 1, or 2 while one follows another`);
    }
    this.#distinct(files, path);
    return files;
  }

  #lifetime(value: YamlValue | undefined, role: readonly string[]): number {
    const path = [...role, 'expires-in'];
    const text = this.#text(value, path);
    let ms: number;
    try {
      ms = parseDuration(text);
    } catch (error) {
      throw this.#refuse(path, messageOf(error), error);
    }
    if (ms < 1000 || ms > MAX_LIFETIME_MS) {
      throw this.#refuse(path, `${path.join('.')} is ${text}, expected 1s to 3650d`);
    }
    return ms;
  }

  #date(value: YamlValue | undefined, path: readonly string[]): number {
    const text = this.#text(value, path);
    const full = /^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text;
    const ms = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(full) ? Date.parse(full) : Number.NaN;
    // Date.parse reads February 30 as March 2.
    if (Number.isNaN(ms) || new Date(ms).toISOString() !== full.replace('Z', '.000Z')) {
      throw this.#refuse(
        path,
        `${path.join('.')} is ${show(text)}, expected a date like 2027-01-15 or 2027-01-15T10:00:00Z`,
      );
    }
    return ms;
  }

  #name(value: YamlValue | undefined, path: readonly string[]): string {
    const text = this.#text(value, path);
    if (PLAN_NAME.test(text)) return text;
    throw this.#refuse(
      path,
      `${show(text)} is no name: lower-case letters, digits and dashes, at most 64 characters`,
    );
  }

  #file(value: YamlValue | undefined, path: readonly string[]): string {
    const text = this.#text(value, path);
    if (FILE_NAME.test(text)) return text;
    throw this.#refuse(path, `${show(text)} is not the name of a file inside the ceremony's folder`);
  }

  #wholeNumber(value: YamlValue | undefined, path: readonly string[], most: number): number {
    if (typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most) return value;
    throw this.#refuse(
      path,
      `${path.join('.')} is ${show(value)}, expected a whole number from 1 to ${most}`,
    );
  }

  #boolean(value: YamlValue, path: readonly string[]): boolean {
    if (typeof value === 'boolean') return value;
    throw this.#refuse(path, `${path.join('.')} is ${show(value)}, expected true or false`);
  }

  #oneOf<T extends string>(value: YamlValue | undefined, path: readonly string[], allowed: readonly T[]): T {
    const found = allowed.find((item) => item === value);
    if (found !== undefined) return found;
    const hint = typeof value === 'string' ? suggestion(value, allowed) : '';
    const wanted = allowed.length === 0 ? 'nothing, as there are no holders' : allowed.join(', ');
    throw this.#refuse(path, `${path.join('.')} is ${show(value)}, expected ${wanted}${hint}`);
  }

  #text(value: YamlValue | undefined, path: readonly string[]): string {
    if (typeof value === 'string') return value;
    throw this.#refuse(path, `${path.join('.')} is ${show(value)}, expected text`);
  }

  #list(value: YamlValue | undefined, path: readonly string[]): readonly YamlValue[] {
    if (Array.isArray(value)) return value as readonly YamlValue[];
    throw this.#refuse(path, `${path.join('.')} is ${show(value)}, expected a list`);
  }

  #map(value: YamlValue | undefined, path: readonly string[], wanted = 'a mapping'): YamlMap {
    if (value instanceof Map) return value;
    throw this.#refuse(path, `${path.join('.')} is ${show(value)}, expected ${wanted}`);
  }

  #onlyKeys(map: YamlMap, path: readonly string[], allowed: readonly string[]): void {
    for (const key of map.keys()) {
      if (allowed.includes(key)) continue;
      throw this.#refuse(
        [...path, key],
        `unknown key ${show([...path, key].join('.'))}, expected ${allowed.join(', ')}${suggestion(key, allowed)}`,
      );
    }
  }

  #distinct(items: readonly string[], path: readonly string[]): void {
    const index = items.findIndex((item, at) => items.indexOf(item) !== at);
    if (index === -1) return;
    throw this.#refuse([...path, String(index)], `${path.join('.')} has ${show(items[index])} twice`);
  }

  #refuse(path: readonly string[], message: string, cause?: unknown): CountersignError {
    return new CountersignError('plan-invalid', `plan, ${this.#yaml.place(path)}: ${message}`, { cause });
  }
}

const TOP_KEYS = [
  'format',
  'ceremony',
  'kind',
  'why',
  'date',
  'next-ceremony',
  'holders',
  'root',
  'targets',
  'bins',
  'online',
  'allow-algorithms',
] as const;

function suggestion(word: string, known: readonly string[]): string {
  const [nearest] = nearMatches(word, known, 1);
  return nearest === undefined ? '' : `; did you mean ${nearest}?`;
}

function show(value: YamlValue | undefined): string {
  if (value === undefined) return 'absent';
  if (value === null) return 'empty';
  if (value instanceof Map) return 'a mapping';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'bigint') return String(value);
  const text = JSON.stringify(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
