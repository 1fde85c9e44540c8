// countersign-ceremony plan check, plan show: a plan before anything is done for it.
import type { Command } from 'commander';
import { proposalSource } from '../ceremony.ts';
import { answer, commandGroup, type CeremonyContext } from '../context.ts';
import { describeChanges } from '../describe-changes.ts';
import { describePlan } from '../describe-plan.ts';
import type { Finding } from '../finding.ts';
import { draftSource, lintPlan } from '../lint.ts';
import { loadCeremony } from '../load-ceremony.ts';
import { propose } from '../propose.ts';
import { folderOf, record, withFolder } from '../session.ts';
import { signingGroups } from '../signing-groups.ts';

export function addPlanCommand(program: Command, context: CeremonyContext): void {
  const plan = commandGroup(program, 'plan', 'the plan of a ceremony: check it, read it in words');
  withFolder(plan.command('check'))
    .description('check the plan, the keys and the bundle before it by every rule; signs nothing')
    .addHelpText(
      'after',
      `
Exit status 1 when a rule refuses; warnings alone end with 0. Each finding has the id of its rule.

Examples:
  countersign-ceremony plan check
  countersign-ceremony plan check --folder ./2027-renewal --json`,
    )
    .action(async (options: { folder?: string }, command: Command) => {
      const folder = folderOf(context, options);
      const ceremony = await loadCeremony(folder);
      const findings = lintPlan(ceremony);
      const refused = findings.some(({ severity }) => severity === 'refuse');
      if (!refused) {
        await record(context, folder, ceremony.plan.ceremony, {
          step: 'plan-checked',
          plan: ceremony.origin.plan,
          warnings: [...new Set(findings.map(({ rule }) => rule))],
        });
      }
      answer(context, command, {
        json: { plan: ceremony.origin.plan, findings },
        text: [...findingLines(findings), `plan ${ceremony.origin.plan}: ${summary(findings)}`].join('\n'),
        ...(refused ? { status: 1 } : {}),
      });
    });
  withFolder(plan.command('show'))
    .description('say in sentences what the ceremony will do, why, and who takes part')
    .addHelpText(
      'after',
      `
Examples:
  countersign-ceremony plan show
  countersign-ceremony plan show --folder ./2027-renewal`,
    )
    .action(async (options: { folder?: string }, command: Command) => {
      const ceremony = await loadCeremony(folderOf(context, options));
      // Before one-time keys exist, stand-ins take their places; the sentences do not name them.
      const source = ceremony.oneTime === undefined ? draftSource(ceremony) : proposalSource(ceremony);
      const proposal = propose(source);
      const sentences = describePlan(ceremony, source, signingGroups(source, proposal));
      const changes = ceremony.oneTime === undefined ? [] : describeChanges(source, proposal);
      const findings = lintPlan(ceremony);
      answer(context, command, {
        json: { plan: ceremony.origin.plan, sentences, changes, findings },
        text: [...sentences, ...changes, ...findingLines(findings)].join('\n'),
      });
    });
}

/** `warning losing-keys: …`, refusals first. */
export function findingLines(findings: readonly Finding[]): string[] {
  return findings.map(
    ({ rule, severity, message }) => `${severity === 'refuse' ? 'refused' : 'warning'} ${rule}: ${message}`,
  );
}

function summary(findings: readonly Finding[]): string {
  const refused = findings.filter(({ severity }) => severity === 'refuse').length;
  const warnings = findings.length - refused;
  return `${refused} refused, ${warnings} ${warnings === 1 ? 'warning' : 'warnings'}`;
}
