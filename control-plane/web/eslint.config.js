import js from '@eslint/js';
import svelte from 'eslint-plugin-svelte';
import globals from 'globals';
import ts from 'typescript-eslint';
import svelteConfig from './svelte.config.js';

export default ts.config(
  { ignores: ['dist/', 'node_modules/', 'src/api/schema.d.ts'] },
  js.configs.recommended,
  ...ts.configs.recommended,
  ...svelte.configs.recommended,
  { languageOptions: { globals: { ...globals.browser, ...globals.node } } },
  {
    files: ['**/*.svelte', '**/*.svelte.ts'],
    languageOptions: { parserOptions: { parser: ts.parser, extraFileExtensions: ['.svelte'], svelteConfig } },
  },
  {
    rules: {
      // Our router is not SvelteKit's: its links are plain paths.
      'svelte/no-navigation-without-resolve': 'off',
      // State is replaced here, never mutated in place: plain maps, sets and URLs do.
      'svelte/prefer-svelte-reactivity': 'off',
      'no-console': 'error',
    },
  },
  { files: ['tests/**', 'scripts/**'], rules: { 'no-console': 'off' } },
);
