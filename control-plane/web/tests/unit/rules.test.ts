import assert from 'node:assert/strict';
import test from 'node:test';
import { checkName, checkPassword, defaultLimits } from '../../src/auth/rules';
import { comeBack, leave } from '../../src/pages/feedMemory';
import { refuse } from '../../src/upload/check';

test('a name has 3 to 24 of a–z, 0–9 and _', () => {
  assert.equal(checkName('', defaultLimits), 'required');
  assert.equal(checkName('ab', defaultLimits), 'name.short');
  assert.equal(checkName('abc', defaultLimits), undefined);
  assert.equal(checkName('a'.repeat(24), defaultLimits), undefined);
  assert.equal(checkName('a'.repeat(25), defaultLimits), 'name.long');
  for (const name of ['Lucia', 'lu cia', 'lucià', 'lu-cia', '@lucia']) assert.equal(checkName(name, defaultLimits), 'name.characters', name);
});

test('a password counts characters, not code units', () => {
  assert.equal(checkPassword('', defaultLimits), 'required');
  assert.equal(checkPassword('1234567', defaultLimits), 'password.short');
  assert.equal(checkPassword('12345678', defaultLimits), undefined);
  assert.equal(checkPassword('🎭🎭🎭🎭', defaultLimits), 'password.short');
});

test('a file is refused before it travels only when the server would refuse it too', () => {
  const file = (name: string, type: string, size: number) => ({ name, type, size });
  assert.equal(refuse(file('a.mp4', 'video/mp4', 0), 100), 'emptyFile');
  assert.equal(refuse(file('a.mp4', 'video/mp4', 100), 100), undefined);
  assert.equal(refuse(file('a.mp4', 'video/mp4', 101), 100), 'tooLarge');
  assert.equal(refuse(file('IMG_1.MOV', '', 1), 100), undefined);
  assert.equal(refuse(file('a.mkv', 'application/octet-stream', 1), 100), undefined);
  assert.equal(refuse(file('a.pdf', 'application/pdf', 1), 100), 'notVideo');
  assert.equal(refuse(file('mp4', '', 1), 100), 'notVideo');
});

test('a place in the feed is kept for a quarter of an hour, and only the last one', () => {
  const place = { videos: [{} as never], cursor: 'c', complete: false, index: 3 };
  leave('all', place, 1_000);
  assert.equal(comeBack('all', 1_000 + 15 * 60_000 - 1)?.index, 3);
  assert.equal(comeBack('all', 1_000 + 15 * 60_000), undefined);
  leave('other', place, 2_000);
  assert.equal(comeBack('all', 2_000), undefined);
  leave('all', { ...place, videos: [] }, 3_000);
  assert.equal(comeBack('all', 3_000), undefined);
});
