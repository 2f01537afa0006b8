// OBS Studio itself: goes live into Chromium, and tells its user when the key is wrong.
import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { mkdirSync } from 'node:fs';
import { chromium } from 'playwright-core';
import { browserOptions, desktop } from './browser.mjs';
import { Instance, artefacts, clip, run, until } from './instance.mjs';
import { Obs } from './obs.mjs';

let instance;
let file;
before(async () => {
  instance = await Instance.start('obs');
  file = await clip('/tmp/rb-obs-source.mp4', { size: '424x240', rate: 20, seconds: 20 });
}, { timeout: 600_000 });
after(async () => instance && (await instance.stop()));

test('OBS goes live and plays in Chromium with sound', { timeout: 150_000 }, async () => {
  const obs = await Obs.start({ server: instance.endpoints.rtmp, key: instance.endpoints.stream_key, file });
  let browser;
  try {
    const live = await until('OBS is live', async () => (await instance.api('GET', '/lives')).items.find(({ state }) => state === 'live'), 60_000, 300).catch((error) => {
      throw new Error(`${error.message}\n${obs.log.split('\n').slice(-15).join('\n')}\n${instance.log('ingest').split('\n').slice(-10).join('\n')}`);
    });
    browser = await chromium.launch(browserOptions);
    const page = await browser.newPage({ ...desktop, bypassCSP: true });
    await page.goto(instance.url(`/l/${live.stream}`));
    await page.waitForFunction(() => {
      const video = document.querySelector('[data-testid="live-video"]');
      return video?.currentTime > 2 && video.webkitAudioDecodedByteCount > 0;
    }, null, { timeout: 60_000 });
    const size = await page.evaluate(() => {
      const { videoWidth, videoHeight } = document.querySelector('[data-testid="live-video"]');
      return `${videoWidth}x${videoHeight}`;
    });
    assert.equal(size, '424x240');
  } finally {
    await browser?.close();
    await obs.stop();
  }
});

test('a wrong key is refused in words that OBS shows', { timeout: 90_000 }, async () => {
  const obs = await Obs.start({ server: instance.endpoints.rtmp, key: 'not-a-key', file, display: 79 });
  try {
    await until('OBS says that the key was not accepted', () => /NetStream\.Publish\.BadName \(.*stream key/.test(obs.log.split('Connecting to RTMP URL')[1] ?? ''), 40_000, 300);
    mkdirSync(path.join(artefacts, 'screenshots'), { recursive: true });
    await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', '-f', 'x11grab', '-video_size', '1024x700', '-i', obs.display, '-frames:v', '1', path.join(artefacts, 'screenshots/obs-wrong-key.png')]);
    assert.doesNotMatch(instance.log('ingest'), /not-a-key/, 'keys never reach a log');
  } finally {
    await obs.stop();
  }
});
