// Bearer tokens: a file that lists who may do what. It holds SHA-256 digests only, so reading it gives nobody a token.
import { createHash, timingSafeEqual } from 'node:crypto';
import { Type } from 'typebox';
import { Compile } from 'typebox/compile';
import { parseDocument } from 'yaml';
import { CountersignError } from '../lib/errors.ts';

/** `events` sends events, `read` asks about events, targets, changes and status, `metrics` is for Prometheus. */
export const SCOPES = ['events', 'read', 'metrics'] as const;
export type Scope = (typeof SCOPES)[number];

export interface Identity {
  /** For the log. */
  readonly name: string;
  readonly scopes: ReadonlySet<Scope>;
}

/** Whom a bearer token belongs to at time `now`, or undefined. */
export type Authenticator = (token: string, now: number) => Identity | undefined;

const TokensFile = Type.Object(
  {
    tokens: Type.Array(
      Type.Object(
        {
          name: Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' }),
          sha256: Type.String({ pattern: '^[0-9a-f]{64}$' }),
          scopes: Type.Array(Type.Union(SCOPES.map((scope) => Type.Literal(scope))), {
            minItems: 1,
            uniqueItems: true,
          }),
          // RFC 3339, in UTC
          expires: Type.Optional(Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\dZ$' })),
        },
        { additionalProperties: false },
      ),
      { minItems: 1, maxItems: 1000 },
    ),
  },
  { additionalProperties: false },
);
const tokensFile = Compile(TokensFile);

/**
 * Reads the text of a tokens file (YAML).
 * @throws CountersignError `config-invalid` that names the entry, never a digest.
 */
export function parseTokens(text: string): Authenticator {
  const document = parseDocument(text, { strict: true, uniqueKeys: true, schema: 'core' });
  const fault = document.errors[0] ?? document.warnings[0];
  if (fault !== undefined) throw invalid(`is not well-formed YAML (${fault.code})`);
  let content: unknown;
  try {
    content = document.toJS({ maxAliasCount: 0 });
  } catch {
    throw invalid('has an alias; write every entry out');
  }
  if (!tokensFile.Check(content)) {
    const first = tokensFile.Errors(content)[0];
    throw invalid(
      `${first?.instancePath === '' ? '/' : (first?.instancePath ?? '/')} ${first?.message ?? 'does not fit'}`,
    );
  }
  const entries = content.tokens.map((entry) => {
    const expires = entry.expires === undefined ? Infinity : Date.parse(entry.expires);
    if (Number.isNaN(expires))
      throw invalid(`token "${entry.name}" expires at no date: ${entry.expires ?? ''}`);
    const identity: Identity = { name: entry.name, scopes: new Set(entry.scopes) };
    return { digest: Buffer.from(entry.sha256, 'hex'), expires, identity };
  });
  const repeated = (values: readonly string[]): boolean => new Set(values).size < values.length;
  if (repeated(content.tokens.map((entry) => entry.name))) throw invalid('two tokens have the same name');
  if (repeated(content.tokens.map((entry) => entry.sha256))) throw invalid('two names have the same token');
  return (token, now) => {
    const digest = createHash('sha256').update(token).digest();
    let found: (typeof entries)[number] | undefined;
    // Every entry is compared, in constant time each: the time of an answer says nothing about a near match.
    for (const entry of entries) if (timingSafeEqual(entry.digest, digest)) found = entry;
    return found !== undefined && now < found.expires ? found.identity : undefined;
  };
}

function invalid(problem: string): CountersignError {
  return new CountersignError('config-invalid', `tokens file: ${problem}`);
}
