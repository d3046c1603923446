// LuCI's configuration (openwrt/luci, eslint.config.mjs) for what we have, and what it only warns of as errors.
import { defineConfig } from 'eslint/config';
import globals from 'globals';
import js from '@eslint/js';
import json from '@eslint/json';

const named = (...names) => Object.fromEntries(names.map(name => [ name, 'readonly' ]));

export default defineConfig([
	{ files: [ '**/*.json' ], plugins: { json }, language: 'json/json', extends: [ 'json/recommended' ] },
	{
		files: [ '**/htdocs/**/*.js' ],
		plugins: { js },
		extends: [ 'js/recommended' ],
		languageOptions: {
			sourceType: 'script',
			ecmaVersion: 2026,
			globals: { ...globals.browser, ...named('_', 'N_', 'L', 'E', 'baseclass', 'dom', 'form', 'poll', 'rpc', 'uci', 'ui', 'view', 'ctw') },
			parserOptions: { ecmaFeatures: { globalReturn: true } }
		},
		rules: {
			'strict': 0,
			'no-prototype-builtins': 0,
			'no-empty': 0,
			'no-control-regex': 0,
			'no-undef': 'error',
			'no-unused-vars': [ 'error', { args: 'none', caughtErrors: 'none' } ],
			// A bare string as contents is parsed as HTML; a refused call looks like an answer unless it rejects.
			'no-restricted-syntax': [ 'error',
				{ selector: 'CallExpression[callee.property.name="declare"]:not(:has(Property[key.name="reject"][value.value=true]))', message: 'reject: true' },
				{ selector: 'CallExpression[callee.name="E"][arguments.2.type=/^(Literal|TemplateLiteral|BinaryExpression)$/]', message: 'contents in an array: a string is markup' },
				{ selector: 'CallExpression[callee.name="E"][arguments.2.callee.name="_"]', message: 'contents in an array: a string is markup' },
				{ selector: 'CallExpression[callee.name="E"][arguments.2.callee.property.name="format"]', message: 'contents in an array: a string is markup' },
				{ selector: 'AssignmentExpression[left.property.name=/^(inner|outer)HTML$/]', message: 'no markup from strings' } ]
		}
	},
	{
		files: [ '**/tests/luci/**/*.{js,mjs}' ],
		plugins: { js },
		extends: [ 'js/recommended' ],
		languageOptions: { ecmaVersion: 2026, globals: { ...globals.browser, ...globals.node, ...named('_', 'L', 'E') } }
	}
]);
