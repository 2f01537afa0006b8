import assert from 'node:assert/strict';
import test from 'node:test';
import { desktop, phone, picture } from '../support/browser';
import { broadcast, clips } from '../support/cast';
import { id } from '../support/instance';
import { by, plays, scene, useBrowser, withoutMedia } from '../support/suite';

useBrowser();

const shown = by('feed-video');

test('the first video plays by itself, muted, and the next one is ready to', { skip: withoutMedia }, () =>
  scene(
    (site) => (site.videos = clips(6)),
    '/',
    async ({ page }) => {
      await plays(page, shown);
      assert.equal(await page.$eval(shown, (video) => (video as HTMLVideoElement).muted), true);
      await page.waitForFunction((next) => (document.querySelector(next) as HTMLVideoElement).buffered.length > 0, by('next-video'));
      assert.equal(await page.$eval(by('next-video'), (video) => (video as HTMLVideoElement).paused), true);
      assert.equal(await page.locator('video').count(), 2);
      await picture(page, 'feed-1440');
    },
  ));

test('keys, wheel and buttons each go exactly one video on or back', { skip: withoutMedia }, () =>
  scene(
    (site) => (site.videos = clips(8)),
    '/',
    async ({ page }) => {
      const at = (n: number) => page.waitForSelector(`${by('clip')}[data-role="active"][data-video="${id(100 + n)}"]`);
      await at(0);
      await page.keyboard.press('ArrowDown');
      await at(1);
      await page.keyboard.press('j');
      await at(2);
      await page.keyboard.press('k');
      await at(1);
      await page.click(by('feed-next'));
      await at(2);
      await page.click(by('feed-previous'));
      await at(1);
      await page.mouse.move(700, 450);
      await page.mouse.wheel(0, 120);
      await at(2);
      await plays(page, shown);
    },
  ));

test('a swipe on a phone goes to the next video, which fills the screen', { skip: withoutMedia }, () =>
  scene(
    (site) => {
      site.videos = clips(6);
      site.lives = [broadcast()];
    },
    '/',
    async ({ page }) => {
      await plays(page, shown);
      await picture(page, 'feed-360');
      await page.$eval(by('feed'), (feed) => feed.scrollTo({ top: feed.clientHeight * 0.7 }));
      await page.waitForSelector(`${by('clip')}[data-role="active"][data-video="${id(101)}"]`);
      await plays(page, shown);
      await picture(page, 'feed-landscape-360');
    },
    { size: phone },
  ));

test('more videos are asked for before the end, and the end says so', () =>
  scene(
    (site) => (site.videos = clips(12)),
    '/',
    async ({ page, site }) => {
      await page.waitForSelector(by('clip'));
      for (let n = 1; n <= 12; n += 1) {
        await page.keyboard.press('j');
        if (n < 12) await page.waitForSelector(`${by('clip')}[data-role="active"][data-video="${id(100 + n)}"]`);
      }
      await page.waitForSelector(by('feed-end'));
      assert.equal(site.calls.filter((call) => call === 'GET /feed').length, 2);
    },
  ));

test('a tap for sound unmutes, is remembered, and the next tap pauses', { skip: withoutMedia }, () =>
  scene(
    (site) => (site.videos = clips(3)),
    '/',
    async ({ page }) => {
      await plays(page, shown);
      await page.click(by('unmute'));
      await page.waitForFunction((video) => !(document.querySelector(video) as HTMLVideoElement).muted, shown);
      await page.click(`${by('clip')}[data-role="active"] ${by('clip-toggle')}`);
      await page.waitForFunction((video) => (document.querySelector(video) as HTMLVideoElement).paused, shown);
      await page.reload();
      await page.waitForFunction((video) => (document.querySelector(video) as HTMLVideoElement | null)?.muted === false, shown);
    },
  ));

test('a link to a video opens it first, and the feed follows without it', () =>
  scene(
    (site) => (site.videos = clips(5)),
    `/watch/${id(103)}`,
    async ({ page }) => {
      await page.waitForSelector(`${by('clip')}[data-role="active"][data-video="${id(103)}"]`);
      await page.keyboard.press('j');
      await page.waitForSelector(`${by('clip')}[data-role="active"][data-video="${id(100)}"]`);
      assert.equal(await page.locator(`[data-video="${id(103)}"]`).count(), 1);
    },
  ));

test('a link to a video that is gone says so', () =>
  scene(
    () => {},
    `/watch/${id(999)}`,
    async ({ page }) => {
      await page.waitForSelector(by('not-found'));
      await picture(page, 'not-found-1440');
    },
  ));

test('an empty instance invites to be the first', () =>
  scene(
    () => {},
    '/',
    async ({ page }) => {
      await page.waitForSelector(by('feed-empty'));
      await picture(page, 'feed-empty-1440');
      await page.getByRole('link', { name: 'Upload the first video' }).click();
      await page.waitForSelector(by('needs-account'));
    },
  ));

test('a feed that fails says why, and tries again when asked', () =>
  scene(
    (site) => {
      site.videos = clips(3);
      site.failures.set('GET /feed', { status: 503, code: 'unavailable' });
    },
    '/',
    async ({ page, site }) => {
      await page.waitForSelector(by('feed-error'));
      assert.match((await page.textContent(by('feed-error'))) ?? '', /could not be loaded.*restarting or overloaded.*Try again/s);
      site.failures.clear();
      await page.click(by('error-retry'));
      await page.waitForSelector(by('clip'));
    },
  ));

test('a video whose media is gone says so instead of spinning, and its neighbours play', { skip: withoutMedia }, () =>
  scene(
    (site) => {
      site.videos = clips(3);
      site.videos[0] = { ...site.videos[0]!, hls: '/v/missing/index.m3u8', poster: undefined };
    },
    '/',
    async ({ page }) => {
      await page.waitForSelector(by('clip-failed'));
      await page.keyboard.press('j');
      await plays(page, shown);
    },
    { size: desktop },
  ));

test('coming back from a profile finds the feed where it was left, and Home again makes it fresh', () =>
  scene(
    (site) => (site.videos = clips(6)),
    '/',
    async ({ page, site }) => {
      const at = (n: number) => page.waitForSelector(`${by('clip')}[data-role="active"][data-video="${id(100 + n)}"]`);
      await at(0);
      await page.keyboard.press('j');
      await at(1);
      await page.keyboard.press('j');
      await at(2);
      await page.click(`${by('clip')}[data-role="active"] ${by('clip-author')}`);
      await page.waitForSelector(by('profile'));
      await page.goBack();
      await at(2);
      const asked = site.calls.filter((call) => call === 'GET /feed').length;
      await page.click(by('nav-feed'));
      await at(0);
      assert.equal(site.calls.filter((call) => call === 'GET /feed').length, asked + 1);
    },
  ));
