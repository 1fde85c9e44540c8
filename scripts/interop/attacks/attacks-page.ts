// docs/attacks.md: what was tried, and what happened to each client. Written by the interop run only.
import { ATTACK_KINDS, type Attack } from './attack.ts';
import type { Result } from './campaign.ts';
import { plain } from '../plain-words.ts';
import { table } from '../markdown-table.ts';

export interface Column {
  readonly name: string;
  /** One of countersign's own programs. */
  readonly own: boolean;
  /** Why it could not be installed. */
  readonly absent?: string;
}

const INTRODUCTION = `# Attacks

A hostile mirror stands between a client and a package index, and carries out every attack of PEP 458, Appendix A, and of
the TUF specification, 1.5.2. This page is written by \`npm run test:interop\`: every cell is a run of that program against
that attack. The table says what happened to whoever installs the project \`prize\`:

- **refused**: nothing is installed, and the client says why;
- **safe**: today's release is installed, in spite of the attack;
- **held**: the client was still waiting, or reading, when the mirror gave it up after 45 s or 200 MB;
- **LOCKED OUT**: the client does not find its way back to an honest mirror;
- **FOOLED**: something else is installed.

The mirror is a program that any client can be pointed at: \`node dist/scripts/interop/attacks/hostile-mirror.js\`.

Not in the table: whoever holds the online key can sign any file into a bin until the key holders revoke it (PEP 458,
minimum security model; [trust.md](trust.md)). The rows of the last section begin there and show that clients come back.
Whoever holds root keys at the threshold has the clients: they need a new root by another way.
`;

export function attacksPage(
  attacks: readonly Attack[],
  columns: readonly Column[],
  results: readonly Result[],
): string {
  const resultOf = (attack: Attack, column: Column): Result | undefined =>
    results.find((it) => it.attack === attack.name && it.victim === column.name);
  const header = ['attack', 'what the mirror does', 'it holds', ...columns.map(({ name }) => name)];
  const sections = ATTACK_KINDS.map((kind) => {
    const rows = attacks
      .filter((attack) => attack.kind === kind)
      .map((attack) => {
        const cells = columns.map((column) => resultOf(attack, column)?.verdict ?? 'not run');
        return [`\`${attack.name}\``, attack.does, attack.holds, ...cells];
      });
    return `## ${capital(kind)}\n\n${table([header, ...rows])}`;
  });
  const absent = columns.flatMap(({ name, absent: why }) =>
    why === undefined ? [] : `- ${name} could not be installed: ${why.split('\n')[0] ?? ''}`,
  );
  const parts = [INTRODUCTION, ...(absent.length === 0 ? [] : [`${absent.join('\n')}\n`]), ...sections];
  return `${parts.join('\n')}\n${saidSection(attacks, columns, resultOf)}`;
}

function saidSection(
  attacks: readonly Attack[],
  columns: readonly Column[],
  resultOf: (attack: Attack, column: Column) => Result | undefined,
): string {
  const blocks = attacks.map((attack) => {
    const lines = columns.flatMap((column) => {
      const result = resultOf(attack, column);
      return result === undefined ? [] : `${`${column.name}:`.padEnd(20)} ${plain(result.words)}`;
    });
    return `\`${attack.name}\`\n\n\`\`\`\n${lines.join('\n')}\n\`\`\`\n`;
  });
  return `## What each client said\n\n${blocks.join('\n')}`;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
