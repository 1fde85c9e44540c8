// From the bytes of a request to upload events: everything is checked before anything is accepted, and every flaw is
// named. The common case runs through one compiled validator; explaining a flaw may be slow.
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import type { Change, UploadEvent } from '../ledger/ledger.ts';
import { hasCode } from '../lib/errors.ts';
import { canonicalBytes } from '../tuf/canonical-json.ts';
import { parseStrictJson } from '../tuf/json.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import { targetPathProblem } from '../tuf/target-path.ts';
import {
  EventSchema,
  MAX_EVENTS_PER_REQUEST,
  PutChangeSchema,
  RemoveChangeSchema,
  type WireEvent,
} from './event-schema.ts';
import { below, escapePointer, Flaws, type Place } from './flaws.ts';

export interface EventsBody {
  readonly format: 'json' | 'ndjson';
  readonly bytes: Buffer;
}

/** Custom data is repeated to every client that reads the bin. */
const MAX_CUSTOM_BYTES = 4096;
const MAX_CUSTOM_DEPTH = 8;

/** Levels around custom data: change, changes, event; and in a JSON document also events and the document. */
const LINE_DEPTH = 3 + MAX_CUSTOM_DEPTH;
const DOCUMENT_DEPTH = 5 + MAX_CUSTOM_DEPTH;

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

/**
 * The events of a request; those without an id get one from `newId`.
 * @throws ProblemError `request-invalid` or `path-forbidden` with up to 20 flaws.
 */
export function parseEventsBody(body: EventsBody, newId: () => string): UploadEvent[] {
  const flaws = new Flaws();
  const read = body.format === 'json' ? fromJson : fromLines;
  const events = read(body.bytes, newId, flaws);
  flaws.refuse();
  return events;
}

function fromJson(bytes: Buffer, newId: () => string, flaws: Flaws): UploadEvent[] {
  const document = parseJson(bytes, DOCUMENT_DEPTH, { pointer: '' }, flaws);
  if (document === undefined) return [];
  if (!isObject(document.value)) return flaws.add({ pointer: '' }, 'is not an object');
  for (const key of Object.keys(document.value)) {
    if (key !== 'events') flaws.add({ pointer: `/${escapePointer(key)}` }, 'is not a known key');
  }
  const list = document.value['events'];
  if (!Array.isArray(list)) return flaws.add({ pointer: '/events' }, 'is not an array of events');
  if (!countInBounds(list.length, flaws)) return [];
  const events: UploadEvent[] = [];
  for (const [index, value] of (list as unknown[]).entries()) {
    if (flaws.full) break;
    const event = toEvent(value, { pointer: `/events/${index}` }, newId, flaws);
    if (event !== undefined) events.push(event);
  }
  return events;
}

function fromLines(bytes: Buffer, newId: () => string, flaws: Flaws): UploadEvent[] {
  const lines: Buffer[] = [];
  for (let start = 0; start < bytes.length && lines.length <= MAX_EVENTS_PER_REQUEST;) {
    const end = bytes.indexOf(0x0a, start);
    lines.push(bytes.subarray(start, end === -1 ? bytes.length : end));
    start = end === -1 ? bytes.length : end + 1;
  }
  if (!countInBounds(lines.length, flaws)) return [];
  const events: UploadEvent[] = [];
  for (const [index, line] of lines.entries()) {
    if (flaws.full) break;
    const place = { line: index + 1, pointer: '' };
    const document = parseJson(line, LINE_DEPTH, place, flaws);
    const event = document && toEvent(document.value, place, newId, flaws);
    if (event !== undefined) events.push(event);
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

function parseJson(
  bytes: Buffer,
  maxDepth: number,
  place: Place,
  flaws: Flaws,
): { readonly value: unknown } | undefined {
  try {
    // JSON.parse keeps the last of two equal keys and says nothing, rounds integers, and has no limit of depth. The
    // strict reader refuses all of that; it costs 2 µs an event.
    parseStrictJson(bytes, { maxBytes: Infinity, maxDepth });
  } catch (error) {
    if (!hasCode(error, 'metadata-invalid')) throw error;
    flaws.add(place, bytes.length === 0 ? 'is empty' : `is not acceptable JSON: ${error.message}`);
    return undefined;
  }
  return { value: JSON.parse(bytes.toString('utf8')) as unknown };
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

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
