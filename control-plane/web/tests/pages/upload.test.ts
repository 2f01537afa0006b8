import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, before } from 'node:test';
import type { Page } from 'playwright-core';
import { desktop, phone, picture } from '../support/browser';
import { clips, mine, work } from '../support/cast';
import { lucia } from '../support/instance';
import { by, scene, useBrowser } from '../support/suite';

useBrowser();

const megabyte = 1_000_000;
/** More than the sockets of loopback hold, so that it is under way for a while. */
const long = 24 * megabyte;

let folder: string;
before(() => {
  folder = mkdtempSync(join(tmpdir(), 'ribalta-upload-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

/** Chooses files of these names and sizes; the same again is the same file. */
async function choose(page: Page, ...files: { name: string; bytes: number }[]): Promise<void> {
  const paths = files.map(({ name, bytes }) => {
    const path = join(folder, name);
    if (!existsSync(path) || statSync(path).size !== bytes) writeFileSync(path, Buffer.alloc(bytes, 7));
    return path;
  });
  await page.waitForSelector(by('upload-page'));
  await page.setInputFiles(by('upload-input'), paths);
}
const item = (state: string): string => `${by('upload-item')}[data-state="${state}"]`;

test('a file travels, is processed, becomes ready, and can be watched', () =>
  scene(
    (site) => (site.user = lucia),
    '/upload',
    async ({ page, site }) => {
      await page.waitForSelector(by('upload-page'));
      await picture(page, 'upload-1440');
      await choose(page, { name: 'holiday_in_Puglia.mp4', bytes: megabyte });
      await page.waitForSelector(item('processing'));
      const video = site.mine[0]!;
      assert.equal(video.title, 'holiday in Puglia');
      assert.deepEqual([...site.uploads.values()].map((upload) => [upload.offset, upload.metadata.filename]), [[megabyte, 'holiday_in_Puglia.mp4']]);

      video.work = work('processing', { stage: 'encode', progress: 0.42 });
      await page.waitForSelector(`${by('upload-progress')}[data-percent="42"]`);
      await picture(page, 'upload-processing-1440');

      const clip = { ...clips(1)[0]!, id: video.id, title: video.title };
      site.videos = [clip];
      Object.assign(video, { state: 'ready', work: undefined, video: clip });
      await page.waitForSelector(item('ready'));
      await page.click(by('upload-watch'));
      await page.waitForSelector(`${by('clip')}[data-video="${video.id}"]`);
      assert.equal(site.csrfRefusals, 0);
    },
    { size: desktop },
  ));

test('a title typed while the file travels is saved', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.uploadRate = 3 * megabyte;
    },
    '/upload',
    async ({ page, site }) => {
      await choose(page, { name: 'a.mp4', bytes: 4 * megabyte });
      await page.waitForSelector(item('uploading'));
      await page.fill(by('upload-title'), 'Seen from the pier');
      await page.press(by('upload-title'), 'Enter');
      await page.waitForSelector(item('processing'), { timeout: 30_000 });
      await page.waitForFunction(() => document.querySelector('[data-testid="toasts"]')?.textContent?.includes('Saved'));
      assert.equal(site.mine[0]!.title, 'Seen from the pier');
      assert.equal(await page.inputValue(by('upload-title')), 'Seen from the pier');
    },
  ));

test('a paused upload goes on from the byte where it stopped', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.uploadRate = 8 * megabyte;
    },
    '/upload',
    async ({ page, site }) => {
      await choose(page, { name: 'a.mp4', bytes: long });
      await page.waitForFunction((bar) => Number((document.querySelector(bar) as HTMLElement | null)?.dataset.percent) > 5, by('upload-progress'));
      await picture(page, 'upload-under-way-360');
      await page.click(by('upload-pause'));
      await page.waitForSelector(item('paused'));
      await page.click(by('upload-resume'));
      await page.waitForSelector(item('processing'), { timeout: 30_000 });
      assert.ok(site.calls.includes('HEAD /files/{id}'));
      assert.equal(site.calls.filter((call) => call === 'POST /files/').length, 1);
      assert.equal([...site.uploads.values()][0]!.offset, long);
    },
    { size: phone },
  ));

test('after a reload the same file goes on where it stopped, and belongs to the same video', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.uploadRate = 8 * megabyte;
    },
    '/upload',
    async ({ page, site }) => {
      page.on('dialog', (dialog) => void dialog.accept());
      await choose(page, { name: 'a.mp4', bytes: long });
      await page.waitForFunction((bar) => Number((document.querySelector(bar) as HTMLElement | null)?.dataset.percent) > 5, by('upload-progress'));
      await page.click(by('upload-pause'));
      await page.waitForSelector(item('paused'));
      const video = await page.getAttribute(by('upload-item'), 'data-video');
      await page.reload();
      await page.waitForSelector(by('upload-unfinished'));
      await picture(page, 'upload-unfinished-1440');
      await choose(page, { name: 'a.mp4', bytes: long });
      await page.waitForSelector(item('processing'), { timeout: 30_000 });
      assert.equal(await page.getAttribute(by('upload-item'), 'data-video'), video);
      assert.equal(site.calls.filter((call) => call === 'POST /files/').length, 1);
      assert.equal(await page.locator(by('upload-unfinished')).count(), 0);
    },
  ));

test('an unfinished upload that is given up is ended on the server', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.uploadRate = megabyte;
    },
    '/upload',
    async ({ page, site }) => {
      page.on('dialog', (dialog) => void dialog.accept());
      await choose(page, { name: 'a.mp4', bytes: 4 * megabyte });
      await page.waitForSelector(item('uploading'));
      await page.reload();
      await page.click(by('upload-forget'));
      await page.waitForSelector(by('upload-unfinished'), { state: 'detached' });
      await page.waitForFunction(() => !Object.keys(localStorage).some((name) => name.startsWith('tus::')));
      assert.ok(site.calls.includes('DELETE /files/{id}'));
    },
  ));

test('a cancelled upload is removed on both sides', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.uploadRate = megabyte;
    },
    '/upload',
    async ({ page, site }) => {
      await choose(page, { name: 'a.mp4', bytes: 8 * megabyte });
      await page.waitForSelector(item('uploading'));
      await page.click(by('upload-cancel'));
      await page.waitForSelector(by('upload-item'), { state: 'detached' });
      await page.waitForFunction(() => !Object.keys(localStorage).some((name) => name.startsWith('tus::')));
      assert.ok(site.calls.includes('DELETE /files/{id}'));
    },
  ));

test('a third file waits for its turn, and every one arrives', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.uploadRate = 2 * megabyte;
    },
    '/upload',
    async ({ page, site }) => {
      await choose(page, { name: 'a.mp4', bytes: 2 * megabyte }, { name: 'b.mov', bytes: 2 * megabyte }, { name: 'c.webm', bytes: megabyte });
      await page.waitForSelector(item('waiting'));
      await page.waitForFunction((done) => document.querySelectorAll(done).length === 3, item('processing'), { timeout: 30_000 });
      assert.equal(site.uploads.size, 3);
    },
  ));

test('what is no video, empty, or too large is refused before a byte travels', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.instance.limits.upload_bytes_max = megabyte;
    },
    '/upload',
    async ({ page, site }) => {
      await page.waitForSelector(by('upload-page'));
      await choose(page, { name: 'notes.txt', bytes: 10 }, { name: 'empty.mp4', bytes: 0 }, { name: 'long.mp4', bytes: megabyte + 1 });
      const words = await page.$$eval(by('upload-refusal'), (all) => all.map((one) => one.textContent ?? ''));
      assert.equal(words.length, 3);
      assert.match(words[0]!, /notes\.txt does not look like a video/);
      assert.match(words[1]!, /empty\.mp4 is empty/);
      assert.match(words[2]!, /long\.mp4 is 1 MB; the most for one file here is 1 MB/);
      assert.equal(site.uploads.size, 0);
    },
  ));

test('a full quota is explained in words', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.failures.set('POST /files/', { status: 413, code: 'quota', message: 'You have 3 MB left.' });
    },
    '/upload',
    async ({ page, site }) => {
      await choose(page, { name: 'a.mp4', bytes: megabyte });
      await page.waitForSelector(item('stopped'));
      assert.match((await page.textContent(by('error'))) ?? '', /Your storage here is full.*Delete something in the studio/);
      site.failures.clear();
      await page.click(by('upload-retry'));
      await page.waitForSelector(item('processing'));
    },
  ));

test('a file that cannot become a video says why, in Italian, and can be replaced', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.onUploaded = (video) => {
        video.state = 'failed';
        video.work = work('failed', { failure: { kind: 'no-video', reason: 'The file has one audio track and no video track.', retryable: false } });
      };
    },
    '/upload',
    async ({ page, site }) => {
      await choose(page, { name: 'song.mp4', bytes: megabyte });
      await page.waitForSelector(item('failed'));
      assert.match((await page.textContent(by('failure'))) ?? '', /c’è l’audio, ma non le immagini.*one audio track/);
      await picture(page, 'upload-failed-360');
      const [chooser] = await Promise.all([page.waitForEvent('filechooser'), page.click(by('upload-replace'))]);
      site.onUploaded = (video) => (video.work = work('processing', { stage: 'queued' }));
      await chooser.setFiles([{ name: 'film.mp4', mimeType: 'video/mp4', buffer: Buffer.alloc(megabyte) }]);
      await page.waitForSelector(item('processing'));
      assert.equal([...site.uploads.values()].at(-1)!.metadata.replaces, site.mine[0]!.id);
    },
    { size: phone, locale: 'it-IT' },
  ));

test('the studio shows every state, and follows what moves', () =>
  scene(
    (site) => {
      site.user = lucia;
      const [clip] = clips(1);
      site.mine = [
        mine(601, 'processing', { work: work('processing', { stage: 'encode', progress: 0.42 }) }),
        mine(602, 'failed', { work: work('failed', { failure: { kind: 'worker', reason: 'encoder ended', retryable: true } }) }),
        mine(603, 'ready', { video: clip }),
        mine(604, 'draft', { work: work('draft') }),
      ];
    },
    '/studio',
    async ({ page, site }) => {
      await page.waitForSelector(`${by('studio-progress')}[data-percent="42"]`);
      assert.deepEqual(await page.$$eval(by('studio-video'), (all) => all.map((one) => (one as HTMLElement).dataset.state)), ['processing', 'failed', 'ready', 'draft']);
      await picture(page, 'studio-1440');
      site.mine[0]!.work = work('processing', { stage: 'encode', progress: 0.9 });
      await page.waitForSelector(`${by('studio-progress')}[data-percent="90"]`);
      await page.click(by('studio-retry'));
      await page.waitForFunction((chip) => document.querySelectorAll(chip)[1]?.textContent === 'Queued', by('studio-state'));
    },
  ));

test('in the studio a title is changed, a video is hidden, and one is deleted after a question', () =>
  scene(
    (site) => {
      site.user = lucia;
      site.mine = [mine(601, 'ready', { video: clips(1)[0]! }), mine(602, 'ready', { video: clips(1)[0]! })];
    },
    '/studio',
    async ({ page, site }) => {
      await page.click(`${by('studio-edit')} >> nth=0`);
      await page.fill(by('studio-title-input'), 'A better title');
      await page.click(by('studio-title-save'));
      await page.waitForFunction(() => document.querySelector('h2')?.textContent === 'A better title');
      await page.click(`${by('studio-private')} >> nth=0`);
      await page.waitForSelector(`${by('studio-private')}[aria-pressed="true"]`);
      assert.deepEqual([site.mine[0]!.title, site.mine[0]!.visibility], ['A better title', 'private']);
      await page.click(`${by('studio-delete')} >> nth=1`);
      await picture(page, 'studio-delete-1440');
      await page.click(by('dialog-cancel'));
      assert.equal(site.mine.length, 2);
      await page.click(`${by('studio-delete')} >> nth=1`);
      await page.click(by('dialog-confirm'));
      await page.waitForFunction((row) => document.querySelectorAll(row).length === 1, by('studio-video'));
      assert.equal(site.mine.length, 1);
    },
  ));
