import assert from 'node:assert/strict';
import test from 'node:test';
import { phone, picture } from '../support/browser';
import { broadcast, clips, marco, teatro } from '../support/cast';
import { id, lucia } from '../support/instance';
import { by, plays, scene, useBrowser, withoutMedia } from '../support/suite';

useBrowser();

const path = `/l/${broadcast().stream}`;
const video = by('live-video');

test('a broadcast plays near its edge, across discontinuities, and says how far behind it is', { skip: withoutMedia }, () =>
  scene(
    (site) => (site.lives = [broadcast(), { ...broadcast(marco), stream: id(501), title: 'Caffè e cavi' }]),
    path,
    async ({ page }) => {
      await plays(page, video);
      await page.waitForFunction((behind) => /\d/.test(document.querySelector(behind)?.textContent ?? ''), by('live-behind'));
      await picture(page, 'live-1440');
      const from = await page.$eval(video, (element) => (element as HTMLVideoElement).currentTime);
      await page.waitForFunction(([wanted, start]) => (document.querySelector(wanted as string) as HTMLVideoElement).currentTime > (start as number) + 6, [video, from], { timeout: 30_000 });
    },
  ));

test('a broadcast is removed by who made it or an administrator; viewers see no such button', async () => {
  const removes = (user: typeof lucia, may: boolean) =>
    scene(
      (site) => {
        site.user = user;
        site.lives = [broadcast({ id: lucia.id, name: lucia.name })];
      },
      path,
      async ({ page, site }) => {
        await page.waitForSelector(by('live-title'));
        await page.waitForSelector(by('share'));
        assert.equal((await page.$(by('live-remove'))) !== null, may);
        if (!may) return;
        await page.click(by('live-remove'));
        await page.click(by('dialog-confirm'));
        await page.waitForURL('**/onair');
        await page.waitForSelector(by('lives-empty'));
        assert.ok(site.calls.includes(`DELETE /lives/${broadcast().stream}`));
      },
    );
  await removes(lucia, true);
  await removes({ ...lucia, id: id(77), name: 'direttrice', admin: true }, true);
  await removes({ ...lucia, id: id(78), name: 'marco' }, false);
});

test('a viewer chooses a rung, and can go back to automatic', { skip: withoutMedia }, () =>
  scene(
    (site) => (site.lives = [broadcast()]),
    path,
    async ({ page }) => {
      await plays(page, video);
      await page.hover(by('live-player'));
      await page.click(by('quality'));
      assert.deepEqual(await page.$$eval(by('quality-choice'), (all) => all.map((one) => (one as HTMLElement).dataset.level)), ['auto', '360p', '180p']);
      await page.click(`${by('quality-choice')}[data-level="180p"]`);
      await page.waitForFunction((wanted) => (document.querySelector(wanted) as HTMLVideoElement).videoHeight === 180, video, { timeout: 30_000 });
      await page.click(by('quality'));
      assert.equal(await page.getAttribute(`${by('quality-choice')}[data-level="180p"]`, 'aria-checked'), 'true');
      await page.click(`${by('quality-choice')}[data-level="auto"]`);
      await plays(page, video);
    },
  ));

test('an interrupted broadcast says that it will be back, and goes on by itself', { skip: withoutMedia }, () =>
  scene(
    (site) => (site.lives = [broadcast()]),
    path,
    async ({ page, site }) => {
      await plays(page, video);
      site.broadcast.interrupt();
      site.lives = [broadcast(teatro, 'interrupted')];
      await page.waitForSelector(by('live-interrupted'));
      await picture(page, 'live-interrupted-360');
      site.broadcast.resume();
      site.lives = [broadcast()];
      await page.waitForSelector(by('live-interrupted'), { state: 'detached' });
      await plays(page, video);
    },
    { size: phone },
  ));

test('a broadcast that is starting says so, and begins without a reload', { skip: withoutMedia }, () =>
  scene(
    (site) => (site.lives = [broadcast(teatro, 'starting')]),
    path,
    async ({ page, site }) => {
      await page.waitForSelector(by('live-starting'));
      site.lives = [broadcast()];
      await plays(page, video);
    },
  ));

test('an ended broadcast says how long it lasted and leads to its maker', () =>
  scene(
    (site) => {
      site.videos = clips(3);
      site.lives = [{ ...broadcast(teatro, 'ended'), ended: new Date().toISOString() }];
    },
    path,
    async ({ page }) => {
      await page.waitForSelector(by('live-ended'));
      assert.match((await page.textContent(by('live-ended'))) ?? '', /It lasted 13:20/);
      await picture(page, 'live-ended-1440');
      await page.click('text=Videos by @teatro');
      await page.waitForSelector(by('profile'));
    },
  ));

test('a broadcast that ends while it is watched is shown to its last second first', { skip: withoutMedia }, () =>
  scene(
    (site) => (site.lives = [broadcast()]),
    path,
    async ({ page, site }) => {
      await plays(page, video);
      site.broadcast.end();
      site.lives = [{ ...broadcast(teatro, 'ended'), ended: new Date().toISOString() }];
      await page.waitForSelector(`${by('live-page')}[data-state="ended"]`);
      assert.equal(await page.locator(by('live-ended')).count(), 0);
      await page.waitForSelector(by('live-ended'), { timeout: 30_000 });
    },
  ));

test('a broadcast that nobody knows is not found', () => scene(() => {}, path, async ({ page }) => void (await page.waitForSelector(by('not-found')))));

test("somebody's live page finds their broadcast, or says that there is none", { skip: withoutMedia }, () =>
  scene(
    (site) => {
      site.videos = clips(3);
      site.lives = [broadcast(teatro)];
    },
    '/@teatro/live',
    async ({ page, open }) => {
      await plays(page, video);
      const other = await open('/@lucia/live');
      await other.waitForSelector(by('live-none'));
    },
  ));

test('the list of broadcasts leads to each of them, and says when there is none', () =>
  scene(
    () => {},
    '/onair',
    async ({ page, site }) => {
      await page.waitForSelector(by('lives-empty'));
      site.lives = [broadcast()];
      await page.reload();
      await page.waitForSelector(by('live-card'));
      await picture(page, 'lives-1440');
      await page.click(by('live-card'));
      await page.waitForURL(`**${path}`);
    },
  ));

test('who is live is shown over the feed and on their profile', () =>
  scene(
    (site) => {
      site.videos = clips(3);
      site.lives = [broadcast()];
    },
    '/',
    async ({ page }) => {
      await page.waitForSelector(by('lives-rail'));
      await page.goto(new URL('/@teatro', page.url()).href);
      await page.waitForSelector(by('profile-live'));
      await picture(page, 'profile-1440');
    },
  ));
