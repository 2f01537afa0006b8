import assert from 'node:assert/strict';
import test from 'node:test';
import { en } from '../../src/i18n/en';
import { fill } from '../../src/i18n/fill';
import { it } from '../../src/i18n/it';

test('both dictionaries have the same keys, in the same order', () => {
  assert.deepEqual(Object.keys(it), Object.keys(en));
});

test('no text is empty, and none has spaces at its ends', () => {
  for (const dictionary of [en, it]) {
    for (const [key, text] of Object.entries(dictionary)) assert.equal(text, text.trim() || 'not empty', key);
  }
});

test('a translation uses the same values as the original', () => {
  const names = (text: string): string[] => [...text.matchAll(/\{(\w+)/g)].map((match) => match[1] ?? '').sort();
  for (const [key, text] of Object.entries(en)) assert.deepEqual(names(it[key as keyof typeof en]), names(text), key);
});

test('every explanation of an error says what to do', () => {
  for (const key of Object.keys(en)) {
    if (key.startsWith('error.') && !key.startsWith('error.what.') && !key.endsWith('.advice')) assert.ok(`${key}.advice` in en, key);
  }
});

test('a value takes the place of its name', () => {
  assert.equal(fill('{used} of {total}', { used: '1 GB', total: '2 GB' }), '1 GB of 2 GB');
});

test('a missing value stays visible instead of vanishing', () => {
  assert.equal(fill('Wait {seconds} s', {}), 'Wait {seconds} s');
});

test('a number chooses its plural in the language of the text', () => {
  const text = '{n|# upload|# uploads}';
  assert.equal(fill(text, { n: 1 }, 'en'), '1 upload');
  assert.equal(fill(text, { n: 0 }, 'en'), '0 uploads');
  assert.equal(fill(text, { n: 12_000 }, 'it'), '12.000 uploads');
});
