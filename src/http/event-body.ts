// From the bytes of a request to upload events: everything is checked before anything is accepted, and every flaw is
// named. The common case runs through JSON.parse and one compiled validator; explaining a flaw may be slow.
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Change, UploadEvent } from '../ledger/ledger.ts';
import { hasCode, messageOf } from '../lib/errors.ts';
import { canonicalBytes } from '../tuf/canonical-json.ts';
import { parseStrictJson } from '../tuf/json.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import { targetPathProblem } from '../tuf/target-path.ts';
import { countKeys, countMembers, depthOf } from './json-members.ts';
import {
  EventSchema,
  MAX_EVENTS_PER_REQUEST,
  PutChangeSchema,
  RemoveChangeSchema,
  type WireEvent,
} from './event-schema.ts';
import { ProblemError, requestInvalid, type Flaw } from './problem.ts';

export interface EventsBody {
  readonly format: 'json' | 'ndjson';
  readonly bytes: Buffer;
}

/** Flaws that one answer lists; reading stops there. */
const MAX_FLAWS = 20;

/** Custom data is repeated to every client that reads the bin. */
const MAX_CUSTOM_BYTES = 4096;
const MAX_CUSTOM_DEPTH = 8;

// Fatal, and a byte order mark stays in the text, where the grammar refuses it.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const eventCheck = Compile(EventSchema);
const putCheck = Compile(PutChangeSchema);
const removeCheck = Compile(RemoveChangeSchema);
// The shape of an event apart from its changes, which are explained one by one.
const outlineCheck = Compile(
  Type.Object(
    { ...EventSchema.properties, changes: Type.Array(Type.Unknown(), { minItems: 1, maxItems: 1000 }) },
    { additionalProperties: false },
  ),
);

/** Where a value stands in the request. */
interface Place {
  readonly line?: number;
  readonly pointer: string;
}

/**
 * The events of a request; those without an id get one from `newId`.
 * @throws ProblemError `request-invalid` or `path-forbidden` with up to 20 flaws.
 */
export function parseEventsBody(body: EventsBody, newId: () => string): UploadEvent[] {
  let text: string;
  try {
    text = decoder.decode(body.bytes);
  } catch {
    throw requestInvalid('the body is not valid UTF-8');
  }
  const flaws = new Flaws();
  const events = body.format === 'json' ? fromJson(text, newId, flaws) : fromLines(text, newId, flaws);
  flaws.refuse();
  return events;
}

function fromJson(text: string, newId: () => string, flaws: Flaws): UploadEvent[] {
  const document = parseJson(text, { pointer: '' }, flaws);
  if (document === undefined) return [];
  if (!isObject(document.value)) return flaws.add({ pointer: '' }, 'is not an object');
  for (const key of Object.keys(document.value)) {
    if (key !== 'events') flaws.add({ pointer: `/${escapePointer(key)}` }, 'is not a known key');
  }
  const list = document.value['events'];
  if (!Array.isArray(list)) return flaws.add({ pointer: '/events' }, 'is not an array of events');
  if (!countInBounds(list.length, flaws)) return [];
  const events: UploadEvent[] = [];
  let keys = 1;
  for (const [index, value] of (list as unknown[]).entries()) {
    if (flaws.full) break;
    const event = toEvent(value, { pointer: `/events/${index}` }, newId, flaws);
    if (event === undefined) continue;
    events.push(event);
    keys += countKeys(value);
  }
  if (flaws.empty && keys !== countMembers(text)) flaws.add({ pointer: '' }, repeatedKey(text));
  return events;
}

function fromLines(text: string, newId: () => string, flaws: Flaws): UploadEvent[] {
  const lines = text.split('\n', MAX_EVENTS_PER_REQUEST + 2);
  if (lines.at(-1) === '') lines.pop();
  if (!countInBounds(lines.length, flaws)) return [];
  const events: UploadEvent[] = [];
  for (const [index, line] of lines.entries()) {
    if (flaws.full) break;
    const place = { line: index + 1, pointer: '' };
    const document = parseJson(line, place, flaws);
    if (document === undefined) continue;
    const event = toEvent(document.value, place, newId, flaws);
    if (event === undefined) continue;
    if (countKeys(document.value) !== countMembers(line)) flaws.add(place, repeatedKey(line));
    events.push(event);
  }
  return events;
}

function countInBounds(count: number, flaws: Flaws): boolean {
  if (count >= 1 && count <= MAX_EVENTS_PER_REQUEST) return true;
  flaws.add(
    { pointer: '' },
    `has ${count === 0 ? 'no events' : 'too many events'}, 1 to ${MAX_EVENTS_PER_REQUEST} are allowed`,
  );
  return false;
}

function parseJson(text: string, place: Place, flaws: Flaws): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    // The engine's message quotes the input; the offset alone is enough.
    flaws.add(place, text.trim() === '' ? 'is empty' : 'is not well-formed JSON');
    return undefined;
  }
}

/** JSON.parse keeps the last of two equal keys; the strict reader knows which key it is and where. */
function repeatedKey(text: string): string {
  try {
    parseStrictJson(Buffer.from(text), { maxBytes: Infinity, maxDepth: 32 });
  } catch (error) {
    return `has a key twice (${messageOf(error)})`;
  }
  return 'has a key twice';
}

function toEvent(value: unknown, place: Place, newId: () => string, flaws: Flaws): UploadEvent | undefined {
  if (!eventCheck.Check(value)) {
    explain(value, place, flaws);
    return undefined;
  }
  const before = flaws.count;
  const changes = value.changes.map((change, index) =>
    toChange(change, below(place, `changes/${index}`), flaws),
  );
  const paths = new Set<string>();
  for (const [index, { path }] of changes.entries()) {
    if (paths.has(path))
      flaws.add(below(place, `changes/${index}/path`), 'names a path that this event names before');
    paths.add(path);
  }
  return flaws.count > before ? undefined : { id: value.id ?? newId(), changes };
}

function toChange(change: WireEvent['changes'][number], place: Place, flaws: Flaws): Change {
  const problem = targetPathProblem(change.path);
  if (problem !== undefined) flaws.add(below(place, 'path'), problem, 'path-forbidden');
  if (change.op === 'remove') return { op: 'remove', path: change.path };
  const { op, path, length, hashes, custom } = change;
  if (custom !== undefined) {
    const fault = customProblem(custom);
    if (fault !== undefined) flaws.add(below(place, 'custom'), fault);
  }
  const target = { length, hashes: { sha256: hashes.sha256 }, ...(custom === undefined ? {} : { custom }) };
  return { op, path, target: target as TargetFile };
}

function customProblem(custom: Record<string, unknown>): string | undefined {
  if (depthOf(custom, MAX_CUSTOM_DEPTH) > MAX_CUSTOM_DEPTH)
    return `is more than ${MAX_CUSTOM_DEPTH} levels deep`;
  if (hasPrototypeKey(custom)) return 'has the key "__proto__"';
  try {
    const bytes = canonicalBytes(custom as Parameters<typeof canonicalBytes>[0]);
    // Canonical JSON writes them unescaped, and a bin's file is its canonical bytes: no client could parse it.
    if (bytes.some((byte) => byte < 0x20)) return 'has a control character, such as a line end, in a string';
    if (bytes.length <= MAX_CUSTOM_BYTES) return undefined;
    return `has ${bytes.length} bytes as canonical JSON, at most ${MAX_CUSTOM_BYTES} are allowed`;
  } catch (error) {
    if (hasCode(error, 'metadata-invalid')) return `has no canonical JSON: ${error.message}`;
    throw error;
  }
}

/** Harmless here, but not in a client that assigns keys to an object (interop rule 16). */
function hasPrototypeKey(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Object.hasOwn(value, '__proto__')) return true;
  return Object.values(value).some(hasPrototypeKey);
}

/** Names every flaw of an event that did not pass, each change by the schema of its own operation. */
function explain(value: unknown, place: Place, flaws: Flaws): void {
  flaws.addAll(place, outlineCheck.Errors(value));
  if (!isObject(value) || !Array.isArray(value['changes'])) return;
  for (const [index, change] of (value['changes'] as unknown[]).entries()) {
    if (flaws.full) return;
    const at = below(place, `changes/${index}`);
    const op = isObject(change) ? change['op'] : undefined;
    if (!isObject(change)) flaws.add(at, 'is not an object');
    else if (op === 'remove') flaws.addAll(at, removeCheck.Errors(change));
    else if (op === 'add' || op === 'put') flaws.addAll(at, putCheck.Errors(change));
    else flaws.add(below(at, 'op'), 'is not one of "add", "put", "remove"');
  }
}

type SchemaErrors = ReturnType<typeof eventCheck.Errors>;

class Flaws {
  readonly #list: Flaw[] = [];
  #code: 'request-invalid' | 'path-forbidden' = 'path-forbidden';

  get count(): number {
    return this.#list.length;
  }

  get empty(): boolean {
    return this.#list.length === 0;
  }

  get full(): boolean {
    return this.#list.length >= MAX_FLAWS;
  }

  /** Returns no events, so that a caller can end with it. */
  add(place: Place, detail: string, code: 'request-invalid' | 'path-forbidden' = 'request-invalid'): [] {
    if (code === 'request-invalid') this.#code = code;
    if (!this.full) this.#list.push({ ...place, pointer: place.pointer.slice(0, 300), detail });
    return [];
  }

  addAll(place: Place, errors: SchemaErrors): void {
    for (const error of errors) {
      if (error.keyword === 'additionalProperties') {
        for (const key of error.params.additionalProperties) {
          this.add(
            below(place, `${error.instancePath.slice(1)}/${escapePointer(key)}`),
            'is not a known key',
          );
        }
      } else if (error.keyword === 'required') {
        for (const key of error.params.requiredProperties) {
          this.add(below(place, `${error.instancePath.slice(1)}/${key}`), 'is missing');
        }
      } else if (error.keyword !== 'boolean') {
        this.add(below(place, error.instancePath.slice(1)), error.message);
      }
    }
  }

  /** @throws ProblemError when there are any. */
  refuse(): void {
    if (this.empty) return;
    const first = this.#list[0];
    const where = first?.line === undefined ? '' : `line ${first.line}: `;
    const count = `${this.full ? 'at least ' : ''}${this.count} ${this.count === 1 ? 'flaw' : 'flaws'}`;
    throw new ProblemError(
      this.#code,
      `${count} in the request, nothing was accepted; first: ${where}${first?.pointer === '' ? 'body' : (first?.pointer ?? '')} ${first?.detail ?? ''}`,
      { members: { errors: this.#list } },
    );
  }
}

function below(place: Place, pointer: string): Place {
  const tail = pointer.replace(/^\//, '');
  return tail === '' ? place : { ...place, pointer: `${place.pointer}/${tail}` };
}

/** RFC 6901 section 3. */
function escapePointer(key: string): string {
  return key.slice(0, 100).replaceAll('~', '~0').replaceAll('/', '~1');
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
