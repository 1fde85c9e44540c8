// What a person decides about each difference: a file of lines (NDJSON), to be edited and handed back. What is not
// decided is refused, and a decision about a repository that has changed meanwhile is too.
import { Type, type Static } from 'typebox';
import { Value } from 'typebox/value';
import { sha256Hex } from '../lib/bytes.ts';
import { CountersignError } from '../lib/errors.ts';
import type { Change, History, Ledger, UploadEvent } from '../ledger/ledger.ts';
import type { TargetFile } from '../tuf/metadata.ts';
import { checkTargetPath } from '../tuf/target-path.ts';
import type { Comparison } from './comparison.ts';

const FORMAT = 'countersign-decisions/1';

const closed = { additionalProperties: false };
const Target = Type.Object(
  {
    length: Type.Integer({ minimum: 1 }),
    hashes: Type.Object({ sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }) }, closed),
    custom: Type.Optional(Type.Object({})),
  },
  closed,
);
const Header = Type.Object(
  {
    format: Type.Literal(FORMAT),
    lastGood: Type.Integer({ minimum: 1 }),
    current: Type.Integer({ minimum: 1 }),
    ledger: Type.Integer({ minimum: 1 }),
    /** Lines that follow: one that is lost is a difference that nobody decided. */
    differences: Type.Integer({ minimum: 0 }),
  },
  closed,
);
const Line = Type.Object(
  {
    path: Type.String(),
    op: Type.String(),
    accepted: Type.Union([Type.Null(), Type.Object({ snapshot: Type.Integer(), at: Type.String() }, closed)]),
    lastGood: Type.Union([Type.Null(), Target]),
    current: Type.Union([Type.Null(), Target]),
    decision: Type.Union([Type.Literal('approve'), Type.Literal('restore'), Type.Literal('undecided')]),
  },
  closed,
);

/** The file to be edited. `approveAccepted`: what accepted events account for is approved beforehand. */
export function writeDecisions(comparison: Comparison, approveAccepted: boolean): string {
  const { lastGood, current, ledger, differences } = comparison;
  const lines: object[] = [{ format: FORMAT, lastGood, current, ledger, differences: differences.length }];
  for (const { path, op, accepted, ...targets } of differences) {
    lines.push({
      path,
      op,
      accepted: accepted ? { snapshot: accepted.snapshot, at: new Date(accepted.at).toISOString() } : null,
      lastGood: targets.lastGood ?? null,
      current: targets.current ?? null,
      decision: approveAccepted && accepted !== undefined ? 'approve' : 'undecided',
    });
  }
  return lines.map((line) => `${JSON.stringify(line)}\n`).join('');
}

/** Events in one call of the ledger. */
const EVENTS_AT_ONCE = 1000;

export interface Decided {
  readonly lastGood: number;
  readonly current: number;
  readonly ledger: number;
  /** One event for each path that is to be changed: restored, or put where nobody had sent it. */
  readonly events: readonly UploadEvent[];
  readonly approved: number;
  readonly restored: number;
}

/**
 * Reads an edited file. The ids of the events follow from it: applying it twice is applying it once.
 * @throws CountersignError `request-invalid` that names the line: undecided, unknown, twice, or of another form; also when
 *   lines are missing.
 */
export function readDecisions(text: string): Decided {
  const [first = '', ...rest] = text.split('\n').filter((line) => line.trim() !== '');
  const header = parseLine(first, 1, Header);
  const digest = sha256Hex(text);
  const events: UploadEvent[] = [];
  const seen = new Set<string>();
  let approved = 0;
  rest.forEach((line, index) => {
    const decided = parseLine(line, index + 2, Line);
    const { path, decision, accepted } = decided;
    checkTargetPath(path);
    if (seen.has(path)) throw refuse(index + 2, `${path} stands there twice`);
    seen.add(path);
    if (decision === 'undecided') throw refuse(index + 2, `${path} is undecided: write approve or restore`);
    if (decision === 'approve') approved += 1;
    // What was accepted is in the ledger's repository already; what nobody sent may be there or not.
    if (decision === 'approve' && accepted !== null) return;
    const wanted = decision === 'approve' ? decided.current : decided.lastGood;
    events.push({ id: sha256Hex(`${digest} ${path}`).slice(0, 32), changes: [changeTo(path, wanted)] });
  });
  const { lastGood, current, ledger, differences } = header;
  if (seen.size !== differences) {
    throw refuse(
      rest.length + 1,
      `the file ends after ${seen.size} differences, ${differences} were found: write approve where nothing is to be done, ` +
        'and leave no line out',
    );
  }
  return { lastGood, current, ledger, events, approved, restored: seen.size - approved };
}

/**
 * Accepts what was decided: the publisher does the rest, as with any upload. Idempotent.
 * @throws CountersignError `head-moved` when a path was changed since the comparison.
 */
export async function applyDecisions(ledger: Ledger & History, decided: Decided, now: number): Promise<void> {
  const receipts = await ledger.events(decided.events.map(({ id }) => id));
  const paths = new Set(decided.events.flatMap(({ changes }) => changes.map(({ path }) => path)));
  if (receipts.size === 0) {
    for (let after = decided.ledger, page; (page = await ledger.changes(after, EVENTS_AT_ONCE)).length > 0;) {
      const changed = page.flatMap(({ changes }) => changes).find(({ path }) => paths.has(path));
      if (changed !== undefined) {
        throw new CountersignError(
          'head-moved',
          `${changed.path} was changed after the comparison with snapshot ${decided.ledger}: compare again`,
        );
      }
      after = page.at(-1)?.snapshot ?? after;
    }
  }
  for (let first = 0; first < decided.events.length; first += EVENTS_AT_ONCE) {
    await ledger.append(decided.events.slice(first, first + EVENTS_AT_ONCE), now);
  }
}

function changeTo(path: string, target: Static<typeof Target> | null): Change {
  return target === null ? { op: 'remove', path } : { op: 'put', path, target: target as TargetFile };
}

function parseLine<S extends typeof Header | typeof Line>(
  line: string,
  number: number,
  schema: S,
): Static<S> {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw refuse(number, 'it is not JSON');
  }
  if (Value.Check(schema, value)) return value;
  const [fault] = Value.Errors(schema, value);
  throw refuse(number, `${fault?.instancePath ?? ''} ${fault?.message ?? 'has another form'}`.trim());
}

function refuse(line: number, reason: string): CountersignError {
  return new CountersignError('request-invalid', `decisions, line ${line}: ${reason}`);
}
