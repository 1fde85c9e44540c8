// The events that `countersign publish` sends: made of options or of NDJSON lines, in requests of bounded size.
// Each event gets its id before it is first sent, so that sending it again after a broken connection is harmless. The
// ids are new in every run: the same change may rightly be made twice, with its opposite in between.
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { CountersignError, messageOf } from '../lib/errors.ts';
import { checkTargetPath } from '../tuf/target-path.ts';

export interface OutgoingEvent {
  readonly id: string;
  /** One line of JSON, the id included. */
  readonly line: string;
  /** For people: what it is about. */
  readonly label: string;
}

/** What one request carries at most; far below the service's default of limits.request-bytes. */
const REQUEST_EVENTS = 1000;
const REQUEST_BYTES = 1024 * 1024;

export interface ChangeOptions {
  /** PATH=FILE. */
  readonly add: readonly string[];
  /** PATH=FILE. */
  readonly put: readonly string[];
  /** PATH. */
  readonly remove: readonly string[];
  /** One event for each change, instead of one for all. */
  readonly separate: boolean;
}

/**
 * The events of --add, --put and --remove; reads every file to hash it.
 * @throws CountersignError `usage`, `path-forbidden`.
 */
export async function eventsOfOptions(
  options: ChangeOptions,
  resolveFile: (name: string) => string,
  newId: () => string,
): Promise<OutgoingEvent[]> {
  const changes: { readonly op: string; readonly path: string }[] = [];
  for (const op of ['add', 'put'] as const) {
    for (const argument of options[op]) {
      const [path, file] = splitPair(op, argument);
      checkTargetPath(path);
      changes.push({ op, path, ...(await digestFile(resolveFile(file))) });
    }
  }
  for (const path of options.remove) {
    checkTargetPath(path);
    changes.push({ op: 'remove', path });
  }
  const groups = options.separate ? changes.map((change) => [change]) : [changes];
  return groups
    .filter((group) => group.length > 0)
    .map((group) => outgoing(newId(), group, group.map(({ op, path }) => `${op} ${path}`).join(', ')));
}

function splitPair(option: string, argument: string): [path: string, file: string] {
  // A target path never has "=" in it (src/tuf/target-path.ts), a file name may.
  const at = argument.indexOf('=');
  if (at < 1 || at === argument.length - 1) {
    throw new CountersignError('usage', `--${option} is ${JSON.stringify(argument)}, expected PATH=FILE`);
  }
  return [argument.slice(0, at), argument.slice(at + 1)];
}

async function digestFile(file: string): Promise<{ length: number; hashes: { sha256: string } }> {
  const hash = createHash('sha256');
  let length = 0;
  try {
    for await (const chunk of createReadStream(file)) {
      const bytes = chunk as Buffer;
      hash.update(bytes);
      length += bytes.length;
    }
  } catch (error) {
    throw new CountersignError('usage', `cannot read ${file}: ${messageOf(error)}`, { cause: error });
  }
  return { length, hashes: { sha256: hash.digest('hex') } };
}

/**
 * The events of an NDJSON stream, one a line, as `POST /v1/events` takes them; empty lines are skipped.
 * @throws CountersignError `request-invalid` that names the line.
 */
export async function* eventsOfLines(input: Readable, newId: () => string): AsyncGenerator<OutgoingEvent> {
  let number = 0;
  // The stream's own errors do not pass through readline's iterator.
  let failure: Error | undefined;
  const lines = createInterface({ input, crlfDelay: Infinity });
  input.once('error', (error) => {
    failure = error;
    lines.close();
  });
  for await (const line of lines) {
    number += 1;
    if (line.trim() !== '') yield eventOfLine(line, number, newId);
  }
  if (failure !== undefined) {
    throw new CountersignError('usage', `cannot read the events: ${failure.message}`, { cause: failure });
  }
}

function eventOfLine(line: string, number: number, newId: () => string): OutgoingEvent {
  let event: unknown;
  try {
    event = JSON.parse(line);
  } catch (error) {
    throw new CountersignError('request-invalid', `line ${number} is not JSON`, { cause: error });
  }
  const { id, changes } = Object(event) as { id?: unknown; changes?: unknown };
  if (!Array.isArray(changes)) {
    throw new CountersignError('request-invalid', `line ${number} has no list "changes"`);
  }
  if (id !== undefined && typeof id !== 'string') {
    throw new CountersignError('request-invalid', `line ${number} has an "id" that is not text`);
  }
  // Only the id is added: whatever else the line says is for the service to judge.
  const known = id ?? newId();
  const withId = id === undefined ? JSON.stringify({ id: known, ...(event as object) }) : line;
  return { id: known, line: withId, label: `line ${number}` };
}

function outgoing(id: string, changes: readonly unknown[], label: string): OutgoingEvent {
  return { id, line: JSON.stringify({ id, changes }), label };
}

/** Groups events into requests. */
export async function* batchEvents(
  events: AsyncIterable<OutgoingEvent> | Iterable<OutgoingEvent>,
): AsyncGenerator<readonly OutgoingEvent[]> {
  let batch: OutgoingEvent[] = [];
  let bytes = 0;
  for await (const event of events) {
    const size = Buffer.byteLength(event.line) + 1;
    if (batch.length > 0 && (batch.length === REQUEST_EVENTS || bytes + size > REQUEST_BYTES)) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(event);
    bytes += size;
  }
  if (batch.length > 0) yield batch;
}
