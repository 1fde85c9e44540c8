// The answers as plan.yaml: every line says what it is for, so that people can read the plan without a manual.
import { formatDuration } from '../src/lib/duration.ts';
import { formatExpires } from '../src/tuf/lifetimes.ts';
import { CEREMONY_DEFAULTS } from './defaults.ts';
import { PLAN_FORMAT } from './plan.ts';
import { publicKeyFile } from './ceremony-folder.ts';
import type { WizardAnswers } from './plan-wizard.ts';

/** The text of the file. */
export function planText(answers: WizardAnswers): string {
  const { ceremony, kind, why, date, nextCeremony, holders, threshold, rootLifetimeMs, online } = answers;
  return `# The plan of a key ceremony. All that the ceremony does follows from this file, and every computer that takes
# part checks it. "countersign-ceremony plan check" reads it again after each change, "plan show" says it in words.
format: ${PLAN_FORMAT}

ceremony: ${plain(ceremony)}
kind: ${kind} # ${kind === 'genesis' ? 'the first one: there is no previous.json' : 'follows previous.json, the bundle of the one before'}
# Read out on the day, and in years by whoever reads the record.
why: ${JSON.stringify(why)}

# Every "expires-in" counts from this time, in UTC.
date: ${formatExpires(date)}
# Everything that is signed now must live longer than until then.
next-ceremony: ${formatExpires(nextCeremony)}

# Everybody who holds a root key after this ceremony; "key generate --name NAME" makes the files.
holders:
${holders.map((name) => `  ${plain(name)}: { key: ${publicKeyFile(name)} }`).join('\n')}

# How many of the holders must sign a root. Whoever has so many of their keys can replace everything; the repository
# ends when fewer are left.
root: { threshold: ${threshold}, expires-in: ${formatDuration(rootLifetimeMs)} }

${rolesText(answers)}
# Signs timestamp, snapshot and every bin from now on: what "countersign key show --json" prints. Two keys while the
# service changes from one to the other.
online: [${online.map((file) => `{ key: ${file} }`).join(', ')}]

# Kinds of holders' keys that some TUF clients cannot read: ecdsa-p384 is lost on tuf-js and tough. Leave it empty.
allow-algorithms: []
`;
}

function rolesText({ roles }: WizardAnswers): string {
  if (roles === 'keep') {
    return `# These files stay in use as they are, with the keys that signed them.
targets: keep
bins: keep
`;
  }
  const keys = CEREMONY_DEFAULTS.oneTimeKeys;
  const life = formatDuration(roles.lifetimeMs);
  return `# Signed by keys that exist for this ceremony only, in memory, and are destroyed in it (PEP 458).
targets: { one-time-keys: ${keys}, expires-in: ${life} }
bins: { one-time-keys: ${keys}, expires-in: ${life}, count: ${roles.bins}, format: ${roles.format} }
`;
}

/** A name, quoted where YAML could read a number or a word of its own. */
function plain(name: string): string {
  return name.includes('-') && /[a-df-z]/.test(name) ? name : JSON.stringify(name);
}
