import assert from 'node:assert/strict';
import test from 'node:test';
import { phone, picture } from '../support/browser';
import { clips } from '../support/cast';
import { lucia } from '../support/instance';
import { by, scene, useBrowser } from '../support/suite';

useBrowser();

test('somebody signs up and lands where they wanted to go', () =>
  scene(
    () => {},
    '/upload',
    async ({ page, site }) => {
      await page.click(by('needs-signup'));
      await page.fill(by('name'), 'Lucia');
      await page.fill(by('password'), 'correct horse');
      await picture(page, 'sign-up-360');
      await page.click(by('submit'));
      await page.waitForURL('**/upload');
      await page.waitForSelector(by('upload-page'));
      assert.deepEqual(site.bodies.at(0), { call: 'POST /users', body: { name: 'lucia', password: 'correct horse' } });
    },
    { size: phone },
  ));

test('what a name and a password must be is told before anything is sent', () =>
  scene(
    () => {},
    '/signup',
    async ({ page, site }) => {
      await page.fill(by('name'), 'l!');
      await page.fill(by('password'), 'short');
      await page.click(by('submit'));
      const words = await page.$$eval('[role="alert"]', (all) => all.map((one) => one.textContent));
      assert.deepEqual(words, ['Only lower-case letters a–z, digits and _ can be in a name.', 'The password needs at least 8 characters.']);
      assert.equal(site.bodies.length, 0);
      assert.equal(await page.getAttribute(by('name'), 'aria-invalid'), 'true');
    },
  ));

test('a taken name and a wrong password are explained where they were typed', () =>
  scene(
    (site) => {
      site.failures.set('POST /users', { status: 409, code: 'name_taken' });
      site.failures.set('POST /session', { status: 401, code: 'wrong_password' });
    },
    '/signup',
    async ({ page }) => {
      await page.fill(by('name'), 'lucia');
      await page.fill(by('password'), 'correct horse');
      await page.click(by('submit'));
      await page.waitForSelector(by('form-error'));
      assert.match((await page.textContent(by('form-error'))) ?? '', /That name is taken\. Choose another one/);
      await page.click('.foot a');
      await page.fill(by('name'), 'lucia');
      await page.fill(by('password'), 'wrong horse');
      await page.click(by('submit'));
      await page.waitForSelector(by('form-error'));
      assert.match((await page.textContent(by('form-error'))) ?? '', /do not fit together/);
      await picture(page, 'sign-in-wrong-1440');
    },
  ));

test('closed registration is explained instead of refused', () =>
  scene(
    (site) => (site.instance.registration = 'closed'),
    '/signup',
    async ({ page }) => {
      await page.waitForSelector(by('registration-closed'));
      assert.equal(await page.locator(by('nav-signup')).count(), 0);
    },
  ));

test('the first administrator is made with the one-time link', () =>
  scene(
    (site) => (site.instance.setup_needed = true),
    '/setup#st_secret',
    async ({ page, site }) => {
      await page.fill(by('name'), 'direttrice');
      await page.fill(by('password'), 'open the curtain');
      await page.click(by('submit'));
      await page.waitForSelector(by('feed-empty'));
      assert.deepEqual(site.bodies[0], { call: 'POST /setup', body: { token: 'st_secret', name: 'direttrice', password: 'open the curtain' } });
      await page.goto(new URL('/setup#st_secret', page.url()).href);
      await page.waitForSelector(by('setup-done'));
    },
  ));

test('a set-up link without its code is explained', () =>
  scene((site) => (site.instance.setup_needed = true), '/setup', async ({ page }) => void (await page.waitForSelector(by('setup-no-token')))));

test('signing out forgets who was here', () =>
  scene(
    (site) => (site.user = lucia),
    '/account',
    async ({ page, site }) => {
      await page.waitForSelector(by('account-name'));
      await picture(page, 'account-1440');
      await page.click(by('sign-out'));
      await page.waitForSelector(by('nav-signin'));
      assert.equal(site.user, null);
    },
  ));

test('a password is changed with the old one', () =>
  scene(
    (site) => (site.user = lucia),
    '/account',
    async ({ page, site }) => {
      await page.fill(by('password-old'), 'correct horse');
      await page.fill(by('password-new'), 'battery staple');
      await page.click(by('password-submit'));
      await page.waitForFunction(() => document.querySelector('[data-testid="toasts"]')?.textContent?.includes('Password changed'));
      assert.deepEqual(site.bodies.at(-1), { call: 'PUT /me/password', body: { old: 'correct horse', new: 'battery staple' } });
    },
  ));

test('an account is deleted with its password, and after a question', () =>
  scene(
    (site) => (site.user = lucia),
    '/account',
    async ({ page, site }) => {
      await page.click(by('remove-submit'));
      await page.waitForSelector('[role="alert"]'); // the password is missing
      assert.equal(await page.$(by('dialog')), null);
      await page.fill(by('remove-password'), 'correct horse');
      await page.click(by('remove-submit'));
      assert.match((await page.textContent(by('dialog'))) ?? '', /Delete @lucia\?/);
      await page.click(by('dialog-cancel'));
      assert.ok(!site.calls.includes('POST /me/remove'));
      await page.click(by('remove-submit'));
      await page.click(by('dialog-confirm'));
      await page.waitForFunction(() => document.querySelector('[data-testid="toasts"]')?.textContent?.includes('Your account is deleted'));
      assert.deepEqual(site.bodies.at(-1), { call: 'POST /me/remove', body: { password: 'correct horse' } });
      await page.waitForSelector(by('nav-signin'));
    },
  ));

test('the last administrator is told why the account stays', () =>
  scene(
    (site) => {
      site.user = { ...lucia, admin: true };
      site.failures.set('POST /me/remove', { status: 409, code: 'last_admin' });
    },
    '/account',
    async ({ page }) => {
      await page.fill(by('remove-password'), 'correct horse');
      await page.click(by('remove-submit'));
      await page.click(by('dialog-confirm'));
      await page.waitForSelector(by('remove-error'));
      assert.match((await page.textContent(by('remove-error'))) ?? '', /last administrator/);
      assert.equal(await page.textContent(by('account-name')), '@lucia');
    },
  ));

test('an Italian browser reads Italian, and a choice of language stays', () =>
  scene(
    () => {},
    '/account',
    async ({ page }) => {
      await page.waitForFunction(() => document.querySelector('h1')?.textContent === 'Account');
      assert.equal(await page.getAttribute('html', 'lang'), 'it');
      assert.match((await page.textContent('body')) ?? '', /Stai guardando come ospite/);
      await page.click(by('language-en'));
      await page.waitForFunction(() => document.body.textContent?.includes('You are watching as a guest'));
      await page.reload();
      await page.waitForFunction(() => document.documentElement.lang === 'en');
    },
    { locale: 'it-IT' },
  ));

test('a browser that speaks neither language gets the one of the instance', () =>
  scene(
    (site) => (site.instance.locale = 'it'),
    '/about',
    async ({ page }) => {
      await page.waitForFunction(() => document.documentElement.lang === 'it');
    },
    { locale: 'de-DE' },
  ));

test('a session that ended elsewhere sends a call again with a fresh token', () =>
  scene(
    (site) => {
      site.videos = clips(1);
      site.user = lucia;
    },
    '/golive',
    async ({ page, site }) => {
      await page.waitForSelector(by('golive-title'));
      // As when another tab signed in: this page's token is old.
      await page.route('**/api/v1/me/live', (route) => {
        if (route.request().method() !== 'PATCH' || site.csrfRefusals > 0) return route.fallback();
        return route.fallback({ headers: { ...route.request().headers(), 'x-csrf-token': 'old' } });
      });
      await page.fill(by('golive-title'), 'Second act');
      await page.press(by('golive-title'), 'Enter');
      await page.waitForFunction(() => document.querySelector('[data-testid="toasts"]')?.textContent?.includes('Saved'));
      assert.equal(site.csrfRefusals, 1);
      assert.equal(site.myLive.title, 'Second act');
    },
  ));

test('a page that needs an account says so when the site is away, and recovers', () =>
  scene(
    (site) => site.failures.set('GET /session', { status: 503, code: 'unavailable' }),
    '/studio',
    async ({ page, site }) => {
      await page.waitForSelector(by('error'));
      site.failures.clear();
      await page.click(by('error-retry'));
      await page.waitForSelector(by('needs-account'));
    },
  ));
