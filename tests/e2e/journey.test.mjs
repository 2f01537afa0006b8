// A visitor on a demo instance, in Chromium: signs up, swipes, watches the live, uploads, sees it processed and plays it.
// Screenshots of each page, phone and desktop, are kept in build/artefacts/screenshots.
import assert from 'node:assert/strict';
import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import { browserOptions, desktop, phone } from './browser.mjs';
import { Instance, artefacts, clip, until } from './instance.mjs';

let instance;
let browser;
const script_errors = [];
const screenshots = path.join(artefacts, 'screenshots');
before(async () => {
  mkdirSync(screenshots, { recursive: true });
  instance = await Instance.start('journey', ['--demo']);
  browser = await chromium.launch(browserOptions);
}, { timeout: 600_000 });
after(async () => {
  await browser?.close();
  await instance?.stop();
});

const id = (name) => `[data-testid="${name}"]`;
const playing = (page, selector) =>
  page.waitForFunction((found) => {
    const video = document.querySelector(found);
    return video && video.currentTime > 0.3 && video.videoWidth > 0 && !video.error;
  }, selector, { timeout: 40_000 });

async function visit(options) {
  const context = await browser.newContext({ ...options, locale: 'en-GB', bypassCSP: true });
  const page = await context.newPage();
  page.on('pageerror', (error) => script_errors.push(`${page.url()}: ${error.message}`));
  return page;
}
const shot = (page, name) => page.screenshot({ path: path.join(screenshots, `${name}.png`) });

test('a visitor signs up, swipes, watches the live, uploads a video and plays it', { timeout: 280_000 }, async () => {
  await until('clips are ready', async () => (await instance.api('GET', '/feed')).items.length >= 3, 120_000, 500);
  await until('the demo is live', async () => (await instance.api('GET', '/lives')).items.some(({ state }) => state === 'live'), 60_000, 500);
  const page = await visit(phone);

  await page.goto(instance.url('/'));
  await playing(page, id('feed-video'));
  await shot(page, 'feed-phone');
  const first = await page.locator(id('clip-title')).first().textContent();
  await page.keyboard.press('ArrowDown');
  await page.waitForFunction(([found, before_swipe]) => document.querySelector(found)?.closest('[data-testid="clip"]')?.querySelector('[data-testid="clip-title"]')?.textContent !== before_swipe, [id('feed-video'), first], { timeout: 10_000 });
  await playing(page, id('feed-video'));

  await page.goto(instance.url('/signup'));
  await shot(page, 'signup-phone');
  await page.locator(`input${id('name')}, ${id('name')} input`).first().fill('lucia');
  await page.locator(`input${id('password')}, ${id('password')} input`).first().fill('footlights at night');
  await page.locator(id('submit')).click();
  await page.waitForURL((url) => !url.pathname.startsWith('/signup'), { timeout: 20_000 });

  const { items: lives } = await instance.api('GET', '/lives');
  await page.goto(instance.url(`/l/${lives[0].stream}`));
  await playing(page, id('live-video'));
  const at = await page.evaluate((found) => document.querySelector(found).currentTime, id('live-video'));
  await page.waitForFunction(([found, then]) => document.querySelector(found).currentTime > then + 3, [id('live-video'), at], { timeout: 20_000 });
  assert.ok(await page.evaluate((found) => document.querySelector(found).webkitAudioDecodedByteCount > 0, id('live-video')), 'sound is decoded');
  await shot(page, 'live-phone');
  await page.locator(id('quality')).click();
  const choices = page.locator(id('quality-choice'));
  assert.ok((await choices.count()) >= 2, 'rungs can be chosen');
  await choices.last().click();
  const lowest = await until('the lowest rung is shown', () => page.evaluate((found) => {
    const { videoHeight } = document.querySelector(found);
    return videoHeight > 0 && videoHeight < 360 && videoHeight;
  }, id('live-video')), 30_000);
  assert.ok(lowest < 360);

  await page.goto(instance.url('/upload'));
  await shot(page, 'upload-phone');
  const file = await clip('/tmp/rb-journey.mp4', { seconds: 5 });
  await page.locator(`input${id('upload-input')}`).setInputFiles(file);
  await page.locator(id('upload-item')).waitFor();
  await shot(page, 'uploading-phone');
  await until('the upload is ready', () => page.evaluate((found) => [...document.querySelectorAll(found)].some((element) => element.dataset.state === 'ready'), id('upload-state')), 90_000);
  await shot(page, 'uploaded-phone');
  const mine = (await instance.api('GET', '/users/lucia')).items;
  assert.equal(mine.length, 1);
  await page.goto(instance.url(`/watch/${mine[0].id}`));
  await playing(page, 'video');
  await shot(page, 'watch-phone');
  for (const [name, target] of [['studio', '/studio'], ['golive', '/golive'], ['account', '/account'], ['profile', '/@demo'], ['onair', '/onair'], ['not-found', '/no/such/page']]) {
    await page.goto(instance.url(target), { waitUntil: 'networkidle' });
    await shot(page, `${name}-phone`);
  }
  const state = await page.context().storageState();

  const wide = await visit({ ...desktop, storageState: state });
  for (const [name, target] of [['feed', '/'], ['live', `/l/${lives[0].stream}`], ['upload', '/upload'], ['studio', '/studio'], ['golive', '/golive'], ['profile', '/@demo'], ['account', '/account'], ['onair', '/onair'], ['about', '/about']]) {
    await wide.goto(instance.url(target));
    if (name === 'feed' || name === 'live') await playing(wide, name === 'feed' ? id('feed-video') : id('live-video'));
    else await wide.waitForLoadState('networkidle');
    await shot(wide, `${name}-desktop`);
  }
  const stranger = await visit(desktop);
  await stranger.goto(instance.url(new URL(instance.endpoints.setup).pathname + new URL(instance.endpoints.setup).hash), { waitUntil: 'networkidle' });
  await shot(stranger, 'setup-desktop');
  await stranger.locator(`input${id('name')}, ${id('name')} input`).first().fill('paola');
  await stranger.locator(`input${id('password')}, ${id('password')} input`).first().fill('one time only');
  await stranger.locator(id('submit')).click();
  await until('the administrator is signed in', async () => (await stranger.evaluate(() => fetch('/api/v1/session').then((answer) => answer.json()))).user?.admin === true, 20_000);
  assert.deepEqual(script_errors, [], 'no script error on any page');
});
