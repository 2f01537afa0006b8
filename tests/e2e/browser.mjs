// Debian's Chromium, and pages that live under the site's own Content-Security-Policy.
import { chromium } from 'playwright-core';
import { until } from './instance.mjs';

export const phone = { viewport: { width: 360, height: 800 }, hasTouch: true, isMobile: true };
export const desktop = { viewport: { width: 1440, height: 900 } };

/** Without the calls home that a closed network refuses. */
export const launch = () =>
  chromium.launch({
    executablePath: '/usr/bin/chromium',
    headless: true,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'],
  });

/** A page; `complaints` gets a line for each error of a script, error on the console, and violation of the page's policy. */
export async function visit(browser, options = {}, complaints = []) {
  const context = await browser.newContext({ locale: 'en-GB', ...options });
  context.setDefaultTimeout(60_000);
  await context.addInitScript(() => {
    addEventListener('securitypolicyviolation', ({ violatedDirective, blockedURI }) => console.error(`securitypolicyviolation: ${violatedDirective} ${blockedURI}`));
  });
  const page = await context.newPage();
  page.on('pageerror', (error) => complaints.push(`${page.url()}: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error') complaints.push(`${page.url()}: ${message.text()} (${message.location().url})`);
  });
  return page;
}

/**
 * Waits until `check`, a function that runs in the page, gives something true; resolves to that. Playwright's own
 * waitForFunction makes code from text inside the page, which the site's policy forbids; `evaluate` comes from the debugger.
 */
export const untilPage = (page, what, check, argument, limit = 60_000) => until(what, () => page.evaluate(check, argument), limit, 200);

/** The player shows pictures and its time goes on. */
export async function playing(page, selector, limit = 90_000) {
  await untilPage(page, `${selector} plays`, (found) => {
    const video = document.querySelector(found);
    return video && video.currentTime > 0.3 && video.videoWidth > 0 && !video.error;
  }, selector, limit);
}

/** What is in view is there: fonts, pictures, posters. What a closed page or a slow machine has not drawn yet is no screenshot. */
export async function settled(page) {
  await untilPage(page, 'the page stands', async () => {
    if (document.readyState !== 'complete' || document.querySelector('[aria-busy="true"]')) return false;
    await document.fonts.ready;
    const inView = (element) => {
      const { top, left, bottom, right, width, height } = element.getBoundingClientRect();
      return width > 0 && height > 0 && bottom > 0 && right > 0 && top < innerHeight && left < innerWidth;
    };
    const posters = [...document.querySelectorAll('video[poster]')].filter(inView).map(({ poster }) => Object.assign(new Image(), { src: poster }));
    const pictures = [...[...document.images].filter(inView), ...posters];
    await Promise.allSettled(pictures.map((picture) => picture.decode()));
    return document.querySelector('main, #app > *') !== null;
  });
}
