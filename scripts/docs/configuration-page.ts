// docs/configuration.md, from the schema in src/config.ts.
import { ConfigSchema } from '../../src/config.ts';
import { expectation, listSettings } from '../../src/config/settings.ts';
import { PASSPHRASE_VARIABLE, TOKEN_VARIABLE } from '../../src/secrets.ts';

/** Markdown: every setting with its meaning, values, default and environment variable. */
export function configurationPage(): string {
  const sections = listSettings(ConfigSchema).map(({ key, env, schema }) => {
    const values =
      schema.enum === undefined && schema.type !== 'integer' ? '' : `Values: ${expectation(schema)}. `;
    const fallback = schema.default === undefined ? 'Not set unless given' : `Default: \`${schema.default}\``;
    const example = schema.examples?.[0] === undefined ? '' : `, for example \`${schema.examples[0]}\``;
    return `### \`${key}\`\n\n${schema.description}\n\n${values}${fallback}${example}. Environment: \`${env}\`.\n`;
  });
  return `# Configuration

Generated from \`src/config.ts\` by \`npm run docs\`; do not edit.

\`countersign\` reads \`countersign.yaml\` in the current directory, or the file given with \`-c\`; without a file the
defaults below hold. \`countersign init\` writes a commented file. Every setting may also come from the environment,
which goes before the file. Unknown keys and unknown \`COUNTERSIGN_\` variables are errors.

Relative paths start at the directory of the configuration file, also when they come from the environment. Durations
are a whole number with a unit: \`ms\`, \`s\`, \`m\`, \`h\`, \`d\`. The file is YAML 1.2, one document, without aliases.

Secrets are never values in the file and never arguments of a command:

- \`${PASSPHRASE_VARIABLE}\` holds the passphrase of the online key, instead of a file named by \`signer-passphrase\`;
- \`${TOKEN_VARIABLE}\` holds the bearer token with which \`publish\` and \`status\` ask a service.

A file with a secret must not be readable or writable by group and others (mode 0600 or stricter). No private file
may be inside the directory of \`store\` or \`targets\`: those are public.

${sections.join('\n')}`;
}
