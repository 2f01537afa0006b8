import { chromium, type Browser, type Page } from 'playwright-core';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

export const phone = { width: 360, height: 800 };
export const desktop = { width: 1440, height: 900 };

export function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: process.env.RIBALTA_CHROMIUM ?? '/usr/bin/chromium',
    args: [
      ...['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking'],
      ...['--disable-component-update', '--disable-sync', '--autoplay-policy=no-user-gesture-required'],
    ],
  });
}

export interface Visit {
  size?: { width: number; height: number };
  locale?: string;
}

/** A page of a new person: own storage, own language. `errors` collects what the page throws. */
export async function visit(browser: Browser, url: string, { size = desktop, locale = 'en-GB' }: Visit = {}): Promise<{ page: Page; errors: string[] }> {
  const touch = size.width < 700;
  const context = await browser.newContext({ viewport: size, locale, hasTouch: touch, isMobile: touch, reducedMotion: 'reduce' });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  page.setDefaultTimeout(10_000);
  await page.goto(url);
  return { page, errors };
}

/** Kept for people to look at: build/artefacts/pages/NAME.png, beside what other suites keep. */
export async function picture(page: Page, name: string): Promise<void> {
  const folder = join(process.cwd(), '..', '..', 'build', 'artefacts', 'pages');
  mkdirSync(folder, { recursive: true });
  await page.screenshot({ path: join(folder, `${name}.png`) });
}
