// Where a ceremony stands: what is done, what is missing, what comes next and who does it.
import { CountersignError } from '../src/lib/errors.ts';
import { readBundleFile } from './bundle-file.ts';
import { oneTimeRoles } from './ceremony.ts';
import { FILES, MAX_BYTES, readIfPresent } from './ceremony-folder.ts';
import type { Finding } from './finding.ts';
import { lintPlan, lintedPayload } from './lint.ts';
import { loadCeremony } from './load-ceremony.ts';
import { checkPayloadFile } from './payload-file.ts';
import { progressLines } from './signing-groups.ts';
import { readTranscripts } from './transcript-set.ts';
import { missingLines, missingNames, readState } from './workspace.ts';

export interface CeremonyStatus {
  readonly ceremony: string;
  /** Steps that are done, in their order. */
  readonly done: readonly string[];
  /** How far the signatures are, a line for each role; empty before `build`. */
  readonly signatures: readonly string[];
  /** Files in the folder of signatures that count for nothing, and why. */
  readonly refused: readonly string[];
  /** Who could sign a role that is not complete. */
  readonly missing: readonly string[];
  readonly findings: readonly Finding[];
  readonly payload?: { readonly sha256: string; readonly phrase: readonly string[] };
  /** The next step, as a sentence. */
  readonly next: string;
}

/**
 * Looks at a folder; writes nothing.
 * @throws CountersignError when the folder cannot be understood: `ceremony-aborted`, `plan-invalid`,
 *   `ceremony-file-missing`, `ceremony-file-invalid`, `ceremony-mismatch`, `transcript-invalid`.
 */
export async function ceremonyStatus(folder: string): Promise<CeremonyStatus> {
  const ceremony = await loadCeremony(folder);
  await readTranscripts(folder);
  const { plan } = ceremony;
  const done = [`plan ${ceremony.origin.plan}`];
  const base = { ceremony: plan.ceremony, signatures: [], refused: [], missing: [] };
  const findings = lintPlan(ceremony);
  const refusal = findings.find(({ severity }) => severity === 'refuse');
  if (refusal !== undefined) {
    return { ...base, done, findings, next: `change the plan: ${refusal.message}` };
  }
  const once = oneTimeRoles(plan);
  if (once.length > 0 && ceremony.oneTime === undefined) {
    return { ...base, done, findings, next: `one computer runs "one-time", for ${once.join(' and ')}` };
  }
  if (ceremony.oneTime !== undefined) {
    done.push(`one-time keys of ${once.join(' and ')}, destroyed at ${ceremony.oneTime.discardedAt}`);
  }
  const { payload } = lintedPayload(ceremony);
  if (!(await checkPayloadFile(folder, payload))) {
    return { ...base, done, findings, next: 'one computer runs "build"' };
  }
  done.push(`payload ${payload.sha256}`);
  const { signatures, progress } = await readState(ceremony, payload);
  const state = {
    ...base,
    done,
    findings,
    signatures: progressLines(progress),
    refused: signatures.refused.map(({ problem }) => problem),
    missing: missingNames(ceremony, progress),
    payload: { sha256: payload.sha256, phrase: payload.phrase },
  };
  if (state.refused.length > 0) {
    return { ...state, next: 'find out where the refused signatures come from, and remove them' };
  }
  if (!progress.every(({ complete }) => complete)) {
    const who = missingLines(ceremony, progress).join(' and ');
    return { ...state, next: `"sign": ${who}; what was signed elsewhere comes in by "merge"` };
  }
  if ((await readIfPresent(folder, FILES.bundle, MAX_BYTES.bundle)) === undefined) {
    return { ...state, next: 'one computer runs "verify", then "bundle"' };
  }
  await readBundleFile(ceremony);
  done.push(`bundle in ${FILES.bundle}`);
  const command = plan.kind === 'genesis' ? 'bootstrap' : 'import';
  return { ...state, next: `the operator runs "countersign ${command} ${FILES.bundle}"` };
}

/**
 * The one line that goes into the file ABORTED.
 * @throws CountersignError `usage` when it is empty, too long, or more than a line.
 */
export function abortReason(text: string): string {
  const reason = text.trim();
  if (reason === '' || reason.length > 500 || /[\p{Cc}\p{Zl}\p{Zp}]/u.test(reason)) {
    throw new CountersignError('usage', 'the reason is one line of 1 to 500 characters');
  }
  return reason;
}
