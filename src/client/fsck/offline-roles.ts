// Targets and bins: who may sign what, down to the bins.
import type { BinsTrust } from '../../tuf/delegations.ts';
import { binsTrust, binTrust } from '../../tuf/delegations.ts';
import type { Envelope } from '../../tuf/envelope.ts';
import { versionedName } from '../../tuf/layout.ts';
import { MAX_METADATA_BYTES } from '../../tuf/metadata-limits.ts';
import type { Root, RoleKeys, Targets } from '../../tuf/metadata.ts';
import { parseBins, parseTargets } from '../../tuf/parse-targets.ts';
import type { SnapshotDocument } from '../../tuf/snapshot-document.ts';
import type { RoleTrust } from '../../tuf/threshold.ts';
import { checkSameLayout, topLevelTrust } from '../../tuf/verify-roles.ts';
import { messageOf } from '../../lib/errors.ts';
import { inspectReach, inspectTargetsFields } from './fields.ts';
import { Findings } from './findings.ts';
import { inspectFile, noting, parsing, readObject } from './form.ts';
import type { OnlinePorts } from './online-roles.ts';
import { checkExpiry, checkSignatures, checkVersionNumber } from './role-checks.ts';

/** Checks the offline roles of snapshots, each pair of versions once. */
export class OfflineRoles {
  readonly #ports: OnlinePorts;
  readonly #known = new Map<string, BinsTrust | undefined>();

  constructor(ports: OnlinePorts) {
    this.#ports = ports;
  }

  /** Who may sign the bins that `snapshot` names; `now` undefined: it is an older snapshot. */
  async trustOf(snapshot: SnapshotDocument, now?: number): Promise<BinsTrust | undefined> {
    const key = `${snapshot.targetsVersion} ${snapshot.binsVersion}`;
    if (!this.#known.has(key)) this.#known.set(key, await this.#check(snapshot, now));
    return this.#known.get(key);
  }

  async #check(snapshot: SnapshotDocument, now: number | undefined): Promise<BinsTrust | undefined> {
    const { findings, roots } = this.#ports;
    const targetsTrusts = [...roots].reverse().map((root) => topLevelTrust(root, 'targets'));
    const targets = await this.#read('targets', snapshot.targetsVersion, targetsTrusts, parseTargets, now);
    const targetsName = versionedName('targets', snapshot.targetsVersion);
    const delegation =
      targets && noting(findings, 'pep458-roles', targetsName, () => binsTrust(targets.signed));
    if (targets !== undefined && delegation !== undefined) {
      inspectReach(findings, targetsName, targets.signed);
    }
    const binsTrusts = delegation === undefined ? [] : [delegation];
    const bins = await this.#read('bins', snapshot.binsVersion, binsTrusts, parseBins, now);
    if (bins === undefined) return undefined;
    const name = versionedName('bins', snapshot.binsVersion);
    const trust = noting(findings, 'pep458-roles', name, () => binTrust(bins.signed));
    if (trust === undefined) return undefined;
    try {
      checkSameLayout(trust.layout, snapshot);
    } catch (error) {
      findings.add('pep458-roles', name, messageOf(error));
      return undefined;
    }
    const root = roots.at(-1);
    if (root !== undefined && delegation !== undefined && now !== undefined) {
      checkSeparation(findings, name, root, delegation, trust);
    }
    return trust;
  }

  async #read(
    role: 'targets' | 'bins',
    version: number,
    trusts: readonly RoleTrust[],
    parse: (bytes: Uint8Array) => Envelope<Targets>,
    now: number | undefined,
  ): Promise<Envelope<Targets> | undefined> {
    const { source, findings } = this.#ports;
    const name = versionedName(role, version);
    const missing = now === undefined ? 'storage-retained' : 'tuf-5.6.1';
    const bytes = await readObject(source, findings, name, MAX_METADATA_BYTES.targets, missing);
    if (bytes === undefined) return undefined;
    const before = findings.count;
    const view = inspectFile(findings, name, 'targets', bytes);
    if (view === undefined) return undefined;
    inspectTargetsFields(findings, name, view.signed);
    const envelope = parsing(findings, name, before, () => parse(bytes));
    // The newest root decides; an older snapshot may be from the time of an older one.
    await this.#checkSignatures(name, now === undefined ? trusts : trusts.slice(0, 1), view);
    checkVersionNumber(findings, 'tuf-5.6.4', name, view.signed.get('version'), version);
    checkExpiry(findings, 'tuf-5.6.5', name, view.signed.get('expires'), now);
    return envelope;
  }

  async #checkSignatures(
    name: string,
    trusts: readonly RoleTrust[],
    { signedBytes, signatures }: Pick<Envelope<Targets>, 'signedBytes' | 'signatures'>,
  ): Promise<void> {
    let first: Findings | undefined;
    for (const trust of trusts) {
      const attempt = new Findings();
      if (await checkSignatures(attempt, 'tuf-5.6.3', name, trust, signedBytes, signatures)) return;
      first ??= attempt;
    }
    this.#ports.findings.merge(first);
  }
}

/** PEP 458 "Key management": root, targets and bins are offline keys; one that is online protects nothing. */
function checkSeparation(
  findings: Findings,
  name: string,
  root: Root,
  binsRole: RoleKeys,
  bins: RoleKeys,
): void {
  const { timestamp, snapshot } = root.roles;
  const online = new Set([timestamp, snapshot, bins].flatMap(({ keyids }) => keyids));
  for (const [role, { keyids }] of Object.entries({
    root: root.roles.root,
    targets: root.roles.targets,
    bins: binsRole,
  })) {
    for (const keyid of keyids) {
      if (online.has(keyid)) findings.add('pep458-keys', name, `online key ${keyid} is a key of ${role} too`);
    }
  }
}
