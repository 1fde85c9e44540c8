// The form of a metadata file, looked at without stopping at the first fault: what parsers refuse with one message is
// told apart here by rule. Nothing is verified yet.
import { asBuffer } from '../../lib/bytes.ts';
import { CountersignError, hasCode, messageOf } from '../../lib/errors.ts';
import { canonicalBytes } from '../../tuf/canonical-json.ts';
import { envelopeFile } from '../../tuf/envelope.ts';
import { METADATA_DEPTH, parseStrictJson, type JsonMap, type JsonValue } from '../../tuf/json.ts';
import { parseExpires } from '../../tuf/lifetimes.ts';
import type { Signature } from '../../tuf/metadata.ts';
import { asInteger, asList, asMap, asSpecVersion, asString, field, onlyFields } from '../../tuf/shape.ts';
import type { RepositorySource } from '../source.ts';
import { Findings } from './findings.ts';
import type { FsckRuleId } from './rules.ts';

/** A file as any client reads it: parsed, and its canonical bytes made anew. */
export interface FileView {
  readonly signed: JsonMap;
  readonly signedBytes: Uint8Array;
  readonly signatures: readonly Signature[];
}

/** Notes a refusal under `rule` and goes on. */
export function noting<T>(findings: Findings, rule: FsckRuleId, name: string, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CountersignError)) throw error;
    findings.add(rule, name, messageOf(error));
    return undefined;
  }
}

/** What the role's own parser says, when nothing was found that would say it better. */
export function parsing<T>(findings: Findings, name: string, before: number, parse: () => T): T | undefined {
  if (findings.count === before) return noting(findings, 'tuf-4', name, parse);
  return noting(new Findings(), 'tuf-4', name, parse);
}

/** Reads an object; one that is too large for clients is a finding, and counts as unreadable. */
export async function readObject(
  source: RepositorySource,
  findings: Findings,
  name: string,
  maxBytes: number,
  missing: FsckRuleId,
): Promise<Uint8Array | undefined> {
  try {
    const bytes = await source.get(name, maxBytes);
    if (bytes === undefined) findings.add(missing, name, 'is absent');
    return bytes;
  } catch (error) {
    if (!hasCode(error, 'metadata-too-large')) throw error;
    findings.add('interop-15', name, messageOf(error));
    return undefined;
  }
}

/** Inspects what all roles have in common. Undefined: the file says nothing that could be looked at further. */
export function inspectFile(
  findings: Findings,
  name: string,
  type: string,
  bytes: Uint8Array,
): FileView | undefined {
  const value = noting(findings, 'interop-13', name, () =>
    parseStrictJson(bytes, { maxBytes: bytes.length, maxDepth: METADATA_DEPTH }),
  );
  if (value === undefined) return undefined;
  const view = noting(findings, 'tuf-4.2.1', name, () => openFile(value));
  if (view === undefined) return undefined;
  checkOneSignatureEach(findings, name, view.signatures);
  const { signed } = view;
  noting(findings, 'tuf-4', name, () => asString(field(signed, name, '_type'), new RegExp(`^${type}$`)));
  noting(findings, 'tuf-4', name, () => asSpecVersion(field(signed, name, 'spec_version')));
  noting(findings, 'tuf-4', name, () => asInteger(field(signed, name, 'version'), 1));
  checkExpiresForm(findings, name, signed.get('expires'));
  const canonical = envelopeFile(view);
  if (!canonical.equals(asBuffer(bytes))) {
    const at = canonical.findIndex((byte, index) => byte !== bytes[index]);
    findings.add(
      'interop-14',
      name,
      `differs from its canonical form (${canonical.length} bytes, the file has ${bytes.length}) at byte ` +
        `${at === -1 ? canonical.length : at}`,
    );
  }
  return view;
}

export function checkExpiresForm(findings: Findings, name: string, expires: JsonValue | undefined): void {
  const text = typeof expires === 'string' ? expires : `a value that is ${typeof expires}`;
  noting(findings, 'interop-2', name, () => parseExpires(text));
}

export function checkOneSignatureEach(
  findings: Findings,
  name: string,
  signatures: readonly Signature[],
): void {
  const seen = new Set<string>();
  for (const { keyid } of signatures) {
    if (seen.has(keyid)) findings.add('tuf-4.2.1', name, `has two signatures of key ${keyid}`);
    seen.add(keyid);
  }
}

function openFile(value: JsonValue): FileView {
  const where = 'file';
  const file = asMap({ value, where });
  onlyFields(file, where, ['signed', 'signatures']);
  const signed = asMap(field(file, where, 'signed'));
  const list = field(file, where, 'signatures');
  const signatures = asList(list).map((item, index) => {
    const place = `${list.where}[${index}]`;
    const map = asMap({ value: item, where: place });
    onlyFields(map, place, ['keyid', 'sig']);
    return {
      keyid: asString(field(map, place, 'keyid'), /^[0-9a-f]{64}$/),
      sig: asString(field(map, place, 'sig'), /^(?:[0-9a-f]{2}){1,1024}$/),
    };
  });
  return { signed, signedBytes: canonicalBytes(signed), signatures };
}
