// docs/errors.md, from the catalogue in src/lib/errors.ts.
import { failureOf } from '../../src/cli/exit.ts';
import { CountersignError, ERRORS, type ErrorCode } from '../../src/lib/errors.ts';

/** Markdown: every code with its meaning, its remedy and the exit status of a command that fails with it. */
export function errorsPage(): string {
  const rows = (Object.keys(ERRORS) as ErrorCode[]).map((code) => {
    const { kind, meaning, remedy } = ERRORS[code];
    const { status } = failureOf(new CountersignError(code, ''));
    return `### \`${code}\`\n\n${meaning}\n\n**Do:** ${remedy}\n\nKind: ${kind} (exit status ${status}).\n`;
  });
  return `# Errors

Generated from \`src/lib/errors.ts\` by \`npm run docs\`; do not edit.

A code means the same everywhere: in the \`code\` of a problem document, in the log field \`code\`, in the label of the
metric \`countersign_errors_total\`, and in the \`--json\` answer of a command. Codes are never renamed or reused.

| kind | a command exits with | what to do |
|---|---|---|
| refused | 1 | the request or the data is not acceptable as it is |
| usage | 2 | correct the arguments, the configuration or the request |
| unavailable | 3 | try again later: nothing is wrong with what was asked |
| internal | 4 | a person has to look |

${rows.join('\n')}`;
}
