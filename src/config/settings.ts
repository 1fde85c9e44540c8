// The settings of a configuration schema as a flat list, and their values from a file and from the environment.
// Knows nothing of countersign's own keys: src/config.ts passes its schema in.
import type { TObject, TSchema } from 'typebox';
import { Value } from 'typebox/value';
import { CountersignError } from '../lib/errors.ts';
import { nearMatches } from '../lib/near-match.ts';
import type { YamlMap, YamlValue } from '../lib/strict-yaml.ts';

export const ENV_PREFIX = 'COUNTERSIGN_';

/** What the schema of every setting carries beside its type. */
export interface SettingSchema {
  readonly type: 'string' | 'integer';
  /** Meaning and unit. */
  readonly description: string;
  /** Absent: the setting is off unless it is given. */
  readonly default?: string | number;
  readonly examples?: readonly (string | number)[];
  readonly enum?: readonly string[];
  readonly minimum?: number;
  readonly maximum?: number;
  /** The environment variable, when it is not the one that follows from the key. */
  readonly env?: string;
}

/** A leaf of the configuration: `publish.max-events`, or `COUNTERSIGN_PUBLISH_MAX_EVENTS`. */
export interface Setting {
  readonly key: string;
  readonly env: string;
  readonly schema: SettingSchema & TSchema;
}

/** A value and where it came from, for messages: the key in the file, or the variable's name. */
export interface Given {
  readonly value: string | number;
  readonly source: string;
}

export type GivenValues = ReadonlyMap<string, Given>;

/** Every setting of `schema` in its order; sections are one level deep. */
export function listSettings(schema: TObject): Setting[] {
  return Object.entries(schema.properties).flatMap(([name, child]) =>
    isSection(child)
      ? Object.entries(child.properties).map(([leaf, leafSchema]) => setting(`${name}.${leaf}`, leafSchema))
      : [setting(name, child)],
  );
}

export function isSection(schema: TSchema): schema is TObject {
  return 'properties' in schema;
}

function setting(key: string, schema: TSchema): Setting {
  const documented = schema as SettingSchema & TSchema;
  const env = documented.env ?? ENV_PREFIX + key.toUpperCase().replaceAll(/[.-]/g, '_');
  return { key, env, schema: documented };
}

/**
 * The values that a configuration file gives.
 * @throws CountersignError `config-invalid` for an unknown key (with near matches) or a value of another type.
 */
export function valuesFromFile(schema: TObject, file: YamlMap): GivenValues {
  const values = new Map<string, Given>();
  const settings = new Map(listSettings(schema).map((entry) => [entry.key, entry]));
  const take = (key: string, value: YamlValue): void => {
    const known = settings.get(key);
    if (known !== undefined) values.set(key, { value: checked(known, value, key), source: key });
  };
  refuseUnknown([...file.keys()], Object.keys(schema.properties), '');
  for (const [name, value] of file) {
    const child = schema.properties[name];
    if (child === undefined || !isSection(child)) take(name, value);
    // A section whose lines are all commented out is null.
    else if (value instanceof Map) {
      const section = value as YamlMap;
      refuseUnknown([...section.keys()], Object.keys(child.properties), `${name}.`);
      for (const [leaf, leafValue] of section) take(`${name}.${leaf}`, leafValue);
    } else if (value !== null) {
      const keys = Object.keys(child.properties).join(', ');
      throw invalid(`${name} is ${shown(value)}, expected a mapping with the keys ${keys}`);
    }
  }
  return values;
}

function refuseUnknown(given: readonly string[], known: readonly string[], prefix: string): void {
  const names = new Set(known);
  const unknown = given.find((key) => !names.has(key));
  if (unknown === undefined) return;
  throw invalid(`unknown key ${shown(prefix + unknown)}${suggestion(unknown, known, prefix)}`);
}

/**
 * The values that the environment gives.
 * @param others Variables with the prefix that mean something else.
 * @throws CountersignError `config-invalid` for an unknown or empty variable, or a value of another type.
 */
export function valuesFromEnvironment(
  schema: TObject,
  env: Readonly<Record<string, string | undefined>>,
  others: readonly string[],
): GivenValues {
  const values = new Map<string, Given>();
  const settings = new Map(listSettings(schema).map((entry) => [entry.env, entry]));
  for (const [name, text] of Object.entries(env)) {
    if (!name.startsWith(ENV_PREFIX) || text === undefined || others.includes(name)) continue;
    const known = settings.get(name);
    if (known === undefined) {
      const names = [...settings.keys(), ...others];
      throw invalid(`unknown environment variable ${name}${suggestion(name, names, '')}`);
    }
    const number = known.schema.type === 'integer' && /^-?\d{1,15}$/.test(text) ? Number(text) : text;
    values.set(known.key, { value: checked(known, number, name), source: name });
  }
  return values;
}

function checked(known: Setting, value: YamlValue, source: string): string | number {
  const { schema } = known;
  if (value === '' || value === null) throw invalid(`${source} has no value; remove it or give one`);
  if ((typeof value === 'string' || typeof value === 'number') && Value.Check(schema, value)) return value;
  throw invalid(`${source} is ${shown(value)}, expected ${expectation(schema)}`);
}

/** What a setting takes, in words: "a whole number from 1 to 10". */
export function expectation(schema: SettingSchema): string {
  if (schema.enum !== undefined) return `one of ${schema.enum.join(', ')}`;
  if (schema.type === 'integer')
    return `a whole number from ${schema.minimum ?? 0} to ${schema.maximum ?? 0}`;
  const example = schema.default ?? schema.examples?.[0];
  return example === undefined ? 'text' : `text such as ${example}`;
}

function suggestion(word: string, known: readonly string[], prefix: string): string {
  const near = nearMatches(word, known).map((name) => shown(prefix + name));
  return near.length === 0 ? '' : `; did you mean ${near.join(' or ')}?`;
}

/** A value as messages show it: never more than a line. */
export function shown(value: unknown): string {
  if (value instanceof Map) return 'a mapping';
  if (Array.isArray(value)) return 'a list';
  const text = typeof value === 'bigint' ? String(value) : JSON.stringify(value);
  return text.length > 120 ? `${text.slice(0, 119)}…` : text;
}

function invalid(message: string): CountersignError {
  return new CountersignError('config-invalid', message);
}
