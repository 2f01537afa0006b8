/** One instance and one page for each test; all tests of a file share Chromium. */
import { after, before } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import assert from 'node:assert/strict';
import { launch, visit, type Visit } from './browser';
import { FakeInstance } from './instance';
import { haveFfmpeg } from './media';

let browser: Browser;

export function useBrowser(): void {
  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());
}

/** A reason to leave out tests that play media, or false. */
export const withoutMedia = haveFfmpeg() ? false : 'FFmpeg is not installed: nothing to play';

export interface Scene {
  site: FakeInstance;
  page: Page;
  base: string;
  /** A second person's page, or the same one's after a reload of everything. */
  open(path: string, options?: Visit): Promise<Page>;
}

/** Opens `path` on an instance that `prepare` has set, runs the test, and checks that no script threw. */
export async function scene(prepare: (site: FakeInstance) => void, path: string, run: (scene: Scene) => Promise<void>, options: Visit = {}): Promise<void> {
  const site = new FakeInstance();
  prepare(site);
  const base = await site.start();
  const pages: Page[] = [];
  const thrown: string[] = [];
  const open = async (to: string, more: Visit = options): Promise<Page> => {
    const { page, errors } = await visit(browser, base + to, more);
    page.on('close', () => thrown.push(...errors));
    pages.push(page);
    return page;
  };
  try {
    await run({ site, page: await open(path), base, open });
  } finally {
    for (const page of pages) {
      await page.close({ runBeforeUnload: false });
      await page.context().close();
    }
    await site.stop();
  }
  assert.deepEqual(thrown, []);
}

export const by = (testid: string): string => `[data-testid="${testid}"]`;

/** Waits until the video of this selector has played on from where it is. */
export async function plays(page: Page, selector: string): Promise<void> {
  await page.waitForFunction((wanted) => ((document.querySelector(wanted) as HTMLVideoElement | null)?.currentTime ?? 0) > 0, selector);
  const from = await page.$eval(selector, (video) => (video as HTMLVideoElement).currentTime);
  await page.waitForFunction(
    ([wanted, start]) => {
      const video = document.querySelector(wanted as string) as HTMLVideoElement | null;
      return video !== null && !video.paused && video.currentTime !== start && video.videoWidth > 0;
    },
    [selector, from],
  );
}
