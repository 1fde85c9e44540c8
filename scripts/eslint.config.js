// Type-aware lint, the strictest presets, and the two rules that keep time, environment and randomness at the edges.
import tseslint from 'typescript-eslint';

const edges = [
  {
    object: 'Date',
    property: 'now',
    message: 'Take a Clock (src/lib/clock.ts): time enters at the edges only.',
  },
  { object: 'Math', property: 'random', message: 'Take a random source as an argument.' },
  { object: 'process', property: 'env', message: 'The environment is read in the entry files only.' },
  { object: 'process', property: 'exit', message: 'Set process.exitCode in an entry file instead.' },
];

export default tseslint.config(
  { ignores: ['dist/**', 'node_modules/**'] },
  ...tseslint.configs.strictTypeChecked,
  ...tseslint.configs.stylisticTypeChecked,
  {
    languageOptions: {
      parserOptions: { projectService: true, tsconfigRootDir: new URL('..', import.meta.url).pathname },
    },
    rules: {
      '@typescript-eslint/no-unnecessary-condition': 'error',
      '@typescript-eslint/consistent-type-imports': 'error',
      '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }],
      '@typescript-eslint/switch-exhaustiveness-check': [
        'error',
        { considerDefaultExhaustiveForUnions: true },
      ],
      eqeqeq: 'error',
      'no-console': 'error',
    },
  },
  { files: ['src/**', 'keys-ceremony/**'], rules: { 'no-restricted-properties': ['error', ...edges] } },
  {
    files: ['src/lib/clock.ts', 'src/main.ts', 'keys-ceremony/main.ts'],
    rules: { 'no-restricted-properties': 'off' },
  },
  {
    files: ['test/**', 'scripts/**'],
    rules: { 'no-console': 'off', '@typescript-eslint/no-non-null-assertion': 'off' },
  },
  { files: ['**/*.js'], extends: [tseslint.configs.disableTypeChecked] },
);
