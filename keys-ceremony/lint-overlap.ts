// Lint rules about the moment between a new root and the targets that belongs to it: TUF 5.6.3 verifies targets with the
// keys of the root that a client has just read.
import { refusal, warning, type Finding } from './finding.ts';
import type { LintSubject } from './lint-subject.ts';
import { plannedTrust } from './propose.ts';

export function lintOverlap(subject: LintSubject): Finding[] {
  const { plan, previous, proposal, after, targetsSigners } = subject;
  if (proposal.root === undefined || plan.targets === 'keep') return [];
  const role = after.root.roles.targets;
  const planned = plannedTrust(subject, 'targets', plan.targets.signers);
  const found: Finding[] = [];
  const missing = planned.keyids.filter((keyid) => !role.keyids.includes(keyid));
  if (missing.length > 0 || planned.threshold < role.threshold) {
    found.push(refusal('targets-keys', `root does not name the keys with which this ceremony signs targets`));
  }
  const foreign = role.keyids.find(
    (keyid) => !planned.keyids.includes(keyid) && !targetsSigners.includes(keyid),
  );
  if (foreign !== undefined) {
    found.push(
      refusal(
        'targets-keys',
        `root names key ${foreign} for targets, which is not of the plan and did not sign the targets before`,
      ),
    );
  }
  if (previous === undefined) return found;
  const verifying = targetsSigners.filter((keyid) => role.keyids.includes(keyid)).length;
  const [root, targets] = [`root ${after.root.version}`, `targets ${previous.targets.version}`];
  if (verifying < role.threshold) {
    found.push(
      warning(
        'targets-overlap',
        `${targets} does not verify under ${root}: an update that reads one before and the other after the import ` +
          'fails once',
      ),
    );
  } else if (role.threshold < planned.threshold) {
    found.push(
      warning(
        'targets-overlap-threshold',
        `${targets} bears ${verifying} signatures: so that it verifies under ${root}, that asks for ${role.threshold} ` +
          `and not for ${planned.threshold} signatures of targets, until the next ceremony that makes a new one`,
      ),
    );
  }
  return found;
}
