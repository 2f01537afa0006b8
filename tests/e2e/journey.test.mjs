// A visitor on a demo instance, in Chromium: signs up, swipes, watches the live, uploads, sees it processed and plays it.
// Every page is visited under the site's own Content-Security-Policy, and none may complain.
// Screenshots of each page, phone and desktop, are kept in build/artefacts/screenshots.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { desktop, launch, phone, playing, settled, untilPage, visit } from './browser.mjs';
import { Instance, artefacts, clip, until } from './instance.mjs';

let instance;
let browser;
const complaints = [];
const screenshots = path.join(artefacts, 'screenshots');
before(async () => {
  mkdirSync(screenshots, { recursive: true });
  instance = await Instance.start('journey', ['--demo']);
  browser = await launch();
}, { timeout: 600_000 });
after(async () => {
  await browser?.close();
  await instance?.stop();
});

const id = (name) => `[data-testid="${name}"]`;
/** The input of a field, or the field that is one. */
const input = (page, name) => page.locator(`input${id(name)}, ${id(name)} input`).first();
async function shot(page, name) {
  await settled(page);
  await page.screenshot({ path: path.join(screenshots, `${name}.png`) });
}

/** Pages without a player, and what stands on each once its own answers have come. */
const pages = {
  studio: ['/studio', id('studio-video')],
  golive: ['/golive', id('golive-page')],
  account: ['/account', id('account-page')],
  profile: ['/@demo', id('profile')],
  onair: ['/onair', id('live-card')],
  about: ['/about', id('about-page')],
  'not-found': ['/no/such/page', 'main h1, main h2'],
  signin: ['/signin', id('account-form')],
};
async function see(page, name, size) {
  const [target, mark] = pages[name];
  await page.goto(instance.url(target));
  await page.locator(mark).first().waitFor();
  await shot(page, `${name}-${size}`);
}

test('a visitor signs up, swipes, watches the live, uploads a video and plays it', { timeout: 400_000 }, async () => {
  await until('clips are ready', async () => (instance.mustRun(), (await instance.api('GET', '/feed')).items.length >= 3), 240_000, 500);
  const live = await until('the demo is live', () => instance.liveNow(), 90_000, 500);
  const page = await visit(browser, phone, complaints);
  const policy = (await page.goto(instance.url('/'))).headers()['content-security-policy'];
  assert.match(policy ?? '', /script-src 'self'(;|$)/, 'pages are visited under a policy that is worth something');

  await playing(page, id('feed-video'));
  await shot(page, 'feed-phone');
  const first = await page.locator(id('clip-title')).first().textContent();
  await page.keyboard.press('ArrowDown');
  await untilPage(page, 'the next clip', ([found, before_swipe]) => document.querySelector(found)?.closest('[data-testid="clip"]')?.querySelector('[data-testid="clip-title"]')?.textContent !== before_swipe, [id('feed-video'), first]);
  await playing(page, id('feed-video'));

  await page.goto(instance.url('/signup'));
  await shot(page, 'signup-phone');
  await input(page, 'name').fill('lucia');
  await input(page, 'password').fill('footlights at night');
  await page.locator(id('submit')).click();
  await page.waitForURL((url) => !url.pathname.startsWith('/signup'));

  await page.goto(instance.url(`/l/${live.stream}`));
  await playing(page, id('live-video'));
  const at = await page.evaluate((found) => document.querySelector(found).currentTime, id('live-video'));
  await untilPage(page, 'the live goes on', ([found, then]) => document.querySelector(found).currentTime > then + 3, [id('live-video'), at]);
  assert.ok(await page.evaluate((found) => document.querySelector(found).webkitAudioDecodedByteCount > 0, id('live-video')), 'sound is decoded');
  await shot(page, 'live-phone');
  await page.locator(id('quality')).click();
  const choices = page.locator(id('quality-choice'));
  assert.ok((await choices.count()) >= 2, 'rungs can be chosen');
  await choices.last().click();
  await untilPage(page, 'the lowest rung is shown', (found) => {
    const { videoHeight } = document.querySelector(found);
    return videoHeight > 0 && videoHeight < 360;
  }, id('live-video'));

  await page.goto(instance.url('/upload'));
  await shot(page, 'upload-phone');
  const file = await clip(path.join(mkdtempSync('/tmp/rb-journey-'), 'mine.mp4'), { seconds: 5 });
  await page.locator(`input${id('upload-input')}`).setInputFiles(file);
  await page.locator(id('upload-item')).waitFor();
  await shot(page, 'uploading-phone');
  await untilPage(page, 'the upload is ready', (found) => [...document.querySelectorAll(found)].some((element) => element.dataset.state === 'ready'), id('upload-state'), 180_000);
  await shot(page, 'uploaded-phone');
  const mine = (await instance.api('GET', '/users/lucia')).items;
  assert.equal(mine.length, 1);
  await page.goto(instance.url(`/watch/${mine[0].id}`));
  await playing(page, 'video');
  await shot(page, 'watch-phone');
  for (const name of ['studio', 'golive', 'account', 'profile', 'onair', 'not-found']) await see(page, name, 'phone');
  await page.goto(instance.url('/@demo/live'));
  await playing(page, id('live-video'));

  const state = await page.context().storageState();
  await page.close(); // two players at once are none on a small machine
  const wide = await visit(browser, { ...desktop, storageState: state }, complaints);
  await wide.goto(instance.url('/'));
  await playing(wide, id('feed-video'));
  await shot(wide, 'feed-desktop');
  await wide.goto(instance.url(`/l/${live.stream}`));
  await playing(wide, id('live-video'));
  await shot(wide, 'live-desktop');
  await wide.goto(instance.url('/upload'));
  await wide.locator(id('upload-page')).waitFor();
  await shot(wide, 'upload-desktop');
  for (const name of ['studio', 'golive', 'profile', 'account', 'onair', 'about']) await see(wide, name, 'desktop');
  await wide.close();

  const stranger = await visit(browser, desktop, complaints);
  await see(stranger, 'signin', 'desktop');
  await stranger.goto(instance.url(new URL(instance.endpoints.setup).pathname + new URL(instance.endpoints.setup).hash));
  await input(stranger, 'name').waitFor();
  await shot(stranger, 'setup-desktop');
  await input(stranger, 'name').fill('paola');
  await input(stranger, 'password').fill('one time only');
  await stranger.locator(id('submit')).click();
  await untilPage(stranger, 'the administrator is signed in', async () => (await (await fetch('/api/v1/session')).json()).user?.admin === true);
  assert.deepEqual(complaints, [], 'no error and no violation of the policy on any page');
});
