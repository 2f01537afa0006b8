import assert from 'node:assert/strict';
import test from 'node:test';
import { links, parseRoute, safeNext } from '../../src/router/routes';

const video = '7m3k0vq2c9x4t8ja';

test('the front page is the feed, with or without an empty path', () => {
  assert.deepEqual(parseRoute('/'), { page: 'feed' });
  assert.deepEqual(parseRoute('//'), { page: 'feed' });
});

test('every link of the application leads to the page that it names', () => {
  assert.equal(parseRoute(links.watch(video)).page, 'watch');
  assert.equal(parseRoute(links.live(video)).page, 'live');
  assert.equal(parseRoute(links.profile('lucia')).page, 'profile');
  for (const [link, page] of [
    [links.lives, 'lives'],
    [links.upload, 'upload'],
    [links.studio, 'studio'],
    [links.goLive, 'goLive'],
    [links.account, 'account'],
    [links.about, 'about'],
    [links.signIn(), 'signIn'],
    [links.signUp(), 'signUp'],
  ] as const) {
    assert.equal(parseRoute(link).page, page, link);
  }
});

test('a trailing slash means the same page', () => {
  assert.deepEqual(parseRoute(`/watch/${video}/`), { page: 'watch', id: video });
  assert.deepEqual(parseRoute('/studio/'), { page: 'studio' });
});

test('an id in another alphabet or of another length is no video', () => {
  for (const id of [video.slice(1), `${video}0`, video.replace('7', 'i'), video.toUpperCase(), '%2e%2e']) {
    assert.equal(parseRoute(`/watch/${id}`).page, 'notFound', id);
  }
});

test('a profile is reached with @ as typed or as browsers encode it, whatever the case', () => {
  assert.deepEqual(parseRoute('/@lucia'), { page: 'profile', name: 'lucia' });
  assert.deepEqual(parseRoute('/%40Lucia'), { page: 'profile', name: 'lucia' });
  assert.deepEqual(parseRoute('/@lucia/live'), { page: 'profileLive', name: 'lucia' });
});

test('a profile name has 3 to 24 characters', () => {
  assert.equal(parseRoute('/@ab').page, 'notFound');
  assert.equal(parseRoute('/@abc').page, 'profile');
  assert.equal(parseRoute(`/@${'a'.repeat(24)}`).page, 'profile');
  assert.equal(parseRoute(`/@${'a'.repeat(25)}`).page, 'notFound');
});

test('what lies deeper than a page is no page', () => {
  for (const path of [`/watch/${video}/more`, '/@lucia/live/more', '/@lucia/videos', '/upload/x', '/l', '/watch']) {
    assert.equal(parseRoute(path).page, 'notFound', path);
  }
});

test('the set-up code is what follows the #', () => {
  assert.deepEqual(parseRoute('/setup', '', '#st_abc'), { page: 'setup', token: 'st_abc' });
  assert.deepEqual(parseRoute('/setup'), { page: 'setup', token: '' });
});

test('after signing in one never lands on another site', () => {
  assert.equal(safeNext('?next=%2Fupload%3Fa%3D1'), '/upload?a=1');
  for (const next of ['//evil.example', '/\\evil.example', 'https://evil.example', 'javascript:alert(1)', '/\t/evil.example', '/\n/evil.example', '']) {
    assert.equal(safeNext(`?next=${encodeURIComponent(next)}`), '/', next);
  }
});

test('a sign-in link remembers where one was, and needs no memory of the front page', () => {
  assert.equal(links.signIn('/golive'), '/signin?next=%2Fgolive');
  assert.equal(links.signIn('/'), '/signin');
  assert.deepEqual(parseRoute('/signin', '?next=%2Fgolive'), { page: 'signIn', next: '/golive' });
});
