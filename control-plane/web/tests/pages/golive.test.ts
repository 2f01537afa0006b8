import assert from 'node:assert/strict';
import test from 'node:test';
import { desktop, phone, picture } from '../support/browser';
import { broadcast } from '../support/cast';
import { lucia } from '../support/instance';
import { by, plays, scene, useBrowser, withoutMedia } from '../support/suite';

useBrowser();

test('the key is hidden until asked for, and is copied without being shown', () =>
  scene(
    (site) => (site.user = lucia),
    '/golive',
    async ({ page, site }) => {
      await page.waitForSelector(by('stream-key'));
      await picture(page, 'golive-1440');
      assert.equal(await page.getAttribute(by('stream-key'), 'type'), 'password');
      assert.equal(await page.inputValue(by('golive-server')), site.key.rtmp);
      await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
      await page.click(by('stream-key-copy'));
      assert.equal(await page.evaluate(() => navigator.clipboard.readText()), site.key.key);
      assert.equal(await page.getAttribute(by('stream-key'), 'type'), 'password');
      await page.click(by('stream-key-reveal'));
      assert.equal(await page.getAttribute(by('stream-key'), 'type'), 'text');
    },
    { size: desktop },
  ));

test('a new key is made only after a question', () =>
  scene(
    (site) => (site.user = lucia),
    '/golive',
    async ({ page, site }) => {
      const old = site.key.key;
      await page.click(by('stream-key-rotate'));
      await page.click(by('dialog-cancel'));
      assert.equal(await page.inputValue(by('stream-key')), old);
      await page.click(by('stream-key-rotate'));
      await page.click(by('dialog-confirm'));
      await page.waitForFunction(([field, before]) => (document.querySelector(field!) as HTMLInputElement).value !== before, [by('stream-key'), old]);
      assert.equal(await page.inputValue(by('stream-key')), site.key.key);
    },
  ));

test('the preview begins when the encoder does, with its warnings in words, and ends when told to', { skip: withoutMedia }, () =>
  scene(
    (site) => (site.user = lucia),
    '/golive',
    async ({ page, site }) => {
      await page.waitForSelector(`${by('golive-state')}[data-state="off"]`);
      await picture(page, 'golive-360');
      site.myLive = {
        ...site.myLive,
        live: broadcast(lucia),
        health: { bitrate: 2_512_000, fps: 29.97, keyframe_interval_ms: 8_300 },
        warnings: ['Key frames are 8.3 s apart: set the keyframe interval to 2 s.'],
        passthrough: false,
        passthrough_reason: 'its key frames are more than 4 s apart',
        rungs: [{ track: 'v360', width: 640, height: 360, fps: 30, codecs: 'avc1.64001e', bitrate: 800_000, passthrough: false }],
      };
      await page.waitForSelector(`${by('golive-state')}[data-state="live"]`);
      await plays(page, by('live-video'));
      assert.equal(await page.$eval(by('live-video'), (video) => (video as HTMLVideoElement).muted), true);
      assert.match((await page.textContent(by('golive-warning'))) ?? '', /8\.3 s apart/);
      assert.match((await page.textContent(by('golive-health'))) ?? '', /2\.5 Mb\/s.*30.*8\.3 s/s);
      await picture(page, 'golive-live-360');
      await page.click(by('golive-end'));
      await page.click(by('dialog-confirm'));
      await page.waitForSelector(`${by('golive-state')}[data-state="off"]`);
      assert.ok(site.calls.includes('POST /me/live/end'));
    },
    { size: phone },
  ));

test('an account that may not go live is told so', () =>
  scene(
    (site) => {
      site.user = { ...lucia, creator: false };
      site.myLive.live_allowed = false;
    },
    '/golive',
    async ({ page, site }) => {
      await page.waitForFunction(() => document.body.textContent?.includes('may watch, but not go live'));
      assert.ok(!site.calls.includes('GET /me/stream-key'));
    },
  ));
