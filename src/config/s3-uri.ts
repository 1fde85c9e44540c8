// s3://BUCKET/PREFIX?region=…&endpoint=…&path-style=true: read strictly, because a parameter that is misread puts a
// repository where nobody looks for it.
import { CountersignError } from '../lib/errors.ts';
import { nearMatches } from '../lib/near-match.ts';
import type { Given } from './settings.ts';

export interface S3Setting {
  readonly kind: 's3';
  readonly bucket: string;
  /** Without slashes at its ends; empty for the whole bucket. */
  readonly prefix: string;
  readonly region?: string;
  /** An http or https origin. */
  readonly endpoint?: string;
  readonly pathStyle: boolean;
}

const PARAMETERS = ['region', 'endpoint', 'path-style'];

const FORM = 's3://BUCKET/PREFIX?region=REGION&endpoint=ORIGIN&path-style=true';

/** @throws CountersignError `config-invalid`. */
export function parseS3({ value, source }: Given): S3Setting {
  const text = String(value);
  const refuse = (problem: string): CountersignError =>
    new CountersignError('config-invalid', `${source} ${problem}; the form is ${FORM}`);
  const match = /^s3:\/\/([^/?#]*)(\/[^?#]*)?(?:\?([^#]*))?$/.exec(text);
  const [, bucket = '', path = '', query = ''] = match ?? [];
  // Not shown: what stands there could be a key.
  if (bucket.includes('@')) {
    throw refuse('has a user before the bucket: credentials come from the standard chain of the AWS SDK');
  }
  if (match === null) throw refuse(`is ${JSON.stringify(text)}`);
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw refuse(`has ${JSON.stringify(bucket)} as its bucket, expected 3 to 63 of a-z, 0-9, "." and "-"`);
  }
  const prefix = path.replace(/^\//, '').replace(/\/$/, '');
  if (prefix !== '' && !prefix.split('/').every((segment) => /^[\w~!@+-][\w.~!@+-]*$/.test(segment))) {
    throw refuse(
      `has ${JSON.stringify(prefix)} as its prefix, expected segments of A-Z a-z 0-9 . _ ~ ! @ + - that do not begin with a period`,
    );
  }
  return { kind: 's3', bucket, prefix, ...parameters(query, refuse) };
}

function parameters(
  query: string,
  refuse: (problem: string) => CountersignError,
): Pick<S3Setting, 'region' | 'endpoint' | 'pathStyle'> {
  const given = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(query)) {
    if (!PARAMETERS.includes(name)) {
      const near = nearMatches(name, PARAMETERS);
      const hint = near.length === 0 ? '' : `, did you mean ${near.join(' or ')}`;
      throw refuse(`has an unknown parameter ${JSON.stringify(name)}${hint}`);
    }
    if (given.has(name)) throw refuse(`has the parameter ${name} twice`);
    given.set(name, value);
  }
  const region = given.get('region');
  if (region !== undefined && !/^[a-z0-9][a-z0-9-]{0,62}$/i.test(region)) {
    throw refuse(`has ${JSON.stringify(region)} as its region`);
  }
  const endpoint = given.get('endpoint');
  const style = given.get('path-style') ?? 'false';
  if (style !== 'true' && style !== 'false') {
    throw refuse(`has ${JSON.stringify(style)} as its path-style, expected true or false`);
  }
  return {
    ...(region === undefined ? {} : { region }),
    ...(endpoint === undefined ? {} : { endpoint: origin(endpoint, refuse) }),
    pathStyle: style === 'true',
  };
}

function origin(endpoint: string, refuse: (problem: string) => CountersignError): string {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const isWeb = url?.protocol === 'http:' || url?.protocol === 'https:';
  if (url === undefined || !isWeb || url.href !== `${url.origin}/`) {
    throw refuse('has an endpoint that is no plain http or https origin such as https://s3.example.org:9000');
  }
  return url.origin;
}
