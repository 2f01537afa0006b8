/** What every page owes to everybody: names for controls, one heading, nothing cut off on a small phone, readable text. */
import assert from 'node:assert/strict';
import test from 'node:test';
import type { Page } from 'playwright-core';
import { desktop, phone } from '../support/browser';
import { broadcast, clips, mine, work } from '../support/cast';
import { lucia, type FakeInstance } from '../support/instance';
import { by, scene, useBrowser } from '../support/suite';

useBrowser();

function full(site: FakeInstance): void {
  site.user = lucia;
  site.videos = clips(4);
  site.lives = [broadcast()];
  site.mine = [
    mine(601, 'processing', { work: work('processing', { stage: 'encode', progress: 0.42 }) }),
    mine(602, 'failed', { work: work('failed', { failure: { kind: 'truncated', reason: 'It ends at byte 1048576 of 4194304.', retryable: false } }) }),
    mine(603, 'ready', { video: site.videos[0]!, title: 'averyveryverylongtitlewithoutanyspaceinitthathastobebrokensomewhere' }),
  ];
}

const pages: [path: string, ready: string][] = [
  ['/', by('clip')],
  ['/onair', by('live-card')],
  [`/l/${broadcast().stream}`, by('live-title')],
  ['/@lucia', by('profile-video')],
  ['/upload', by('upload-page')],
  ['/studio', by('studio-video')],
  ['/golive', by('stream-key')],
  ['/account', by('account-name')],
  ['/about', by('version')],
  ['/signin', by('account-form')],
  ['/signup', by('account-form')],
  ['/nowhere', by('not-found')],
];

/** What a reader of the screen would stumble over. */
function findings(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const found: string[] = [];
    const visible = (element: Element): boolean => (element as HTMLElement).checkVisibility?.({ checkVisibilityCSS: true }) ?? true;
    const outline = (element: Element): string => element.outerHTML.slice(0, 120);
    for (const control of document.querySelectorAll('button, a[href], input, select, textarea')) {
      if (!visible(control) || control.getAttribute('aria-hidden') === 'true') continue;
      const labels = (control as HTMLInputElement).labels;
      const name = control.getAttribute('aria-label') ?? (labels && labels.length > 0 ? labels[0]!.textContent : (control.textContent ?? ''));
      if (!name?.trim()) found.push(`no name: ${outline(control)}`);
    }
    for (const image of document.querySelectorAll('img:not([alt])')) found.push(`no alt: ${outline(image)}`);
    const headings = [...document.querySelectorAll('h1')].filter(visible);
    if (headings.length !== 1) found.push(`${headings.length} first headings`);
    const main = document.getElementById('main')!;
    if (document.documentElement.scrollWidth > innerWidth) found.push(`the page is ${document.documentElement.scrollWidth} wide`);
    if (main.scrollWidth > main.clientWidth) found.push(`the content is ${main.scrollWidth} wide in ${main.clientWidth}`);
    return found;
  });
}

for (const [name, size] of Object.entries({ phone, desktop })) {
  test(`on a ${name} every page has named controls, one first heading, and fits`, () =>
    scene(full, '/', async ({ page, base }) => {
      for (const [path, ready] of pages) {
        await page.goto(base + path);
        await page.waitForSelector(ready);
        assert.deepEqual(await findings(page), [], path);
      }
    }, { size }));
}

test('Italian, whose words are longer, fits on a small phone too', () =>
  scene(full, '/', async ({ page, base }) => {
    for (const [path, ready] of pages) {
      await page.goto(base + path);
      await page.waitForSelector(ready);
      assert.deepEqual(await findings(page), [], path);
    }
  }, { size: phone, locale: 'it-IT' }));

test('the keyboard reaches the content first, and focus is visible', () =>
  scene(full, '/studio', async ({ page }) => {
    await page.waitForSelector(by('studio-video'));
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement?.getAttribute('href')), '#main');
    await page.keyboard.press('Tab');
    const outline = await page.evaluate(() => getComputedStyle(document.activeElement!).outlineStyle);
    assert.equal(outline, 'solid');
  }));

test('text stands out from its ground by 4.5 to 1', () =>
  scene(full, '/about', async ({ page }) => {
    await page.waitForSelector(by('version'));
    const ratios = await page.evaluate(() => {
      const style = getComputedStyle(document.documentElement);
      const channel = (value: number): number => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
      const luminance = (name: string): number => {
        const hex = style.getPropertyValue(name).trim().slice(1);
        const [r = 0, g = 0, b = 0] = [0, 2, 4].map((at) => channel(parseInt(hex.slice(at, at + 2), 16) / 255));
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
      };
      const ratio = (one: string, other: string): number => {
        const [light = 0, dark = 0] = [luminance(one), luminance(other)].sort((a, b) => b - a);
        return (light + 0.05) / (dark + 0.05);
      };
      const pairs: Record<string, number> = {};
      for (const ground of ['--ink-0', '--ink-1', '--ink-2', '--ink-3']) {
        for (const text of ['--text', '--text-soft', '--muted', '--accent-bright', '--danger', '--ok']) pairs[`${text} on ${ground}`] = ratio(text, ground);
      }
      pairs['--on-accent on --accent'] = ratio('--on-accent', '--accent');
      return pairs;
    });
    for (const [pair, ratio] of Object.entries(ratios)) assert.ok(ratio >= 4.5, `${pair}: ${ratio.toFixed(2)}`);
  }));
