// OBS Studio itself: goes live into Chromium, and tells its user when the key is wrong.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { desktop, launch, untilPage, visit } from './browser.mjs';
import { Instance, artefacts, clip, run, until } from './instance.mjs';
import { Obs } from './obs.mjs';

let instance;
let file;
before(async () => {
  instance = await Instance.start('obs');
  file = await clip(path.join(mkdtempSync('/tmp/rb-obs-'), 'source.mp4'), { size: '424x240', rate: 20, seconds: 20 });
}, { timeout: 600_000 });
after(async () => instance && (await instance.stop()));

test('OBS goes live and plays in Chromium with sound', { timeout: 220_000 }, async () => {
  const obs = await Obs.start({ server: instance.endpoints.rtmp, key: instance.endpoints.stream_key, file });
  let browser;
  try {
    const live = await until('OBS is live', () => (obs.mustRun(), instance.liveNow()), 90_000, 300).catch((error) => {
      throw new Error(`${error.message}\n${obs.log.split('\n').slice(-15).join('\n')}\n${instance.log('ingest').split('\n').slice(-10).join('\n')}`);
    });
    browser = await launch();
    const complaints = [];
    const page = await visit(browser, desktop, complaints);
    await page.goto(instance.url(`/l/${live.stream}`));
    await untilPage(page, 'OBS is seen and heard, in its own size', () => {
      const { currentTime, webkitAudioDecodedByteCount: sound, videoWidth, videoHeight } = document.querySelector('[data-testid="live-video"]');
      return currentTime > 2 && sound > 0 && `${videoWidth}x${videoHeight}` === '424x240';
    }, null, 90_000);
    assert.deepEqual(complaints, []);
  } finally {
    await browser?.close();
    await obs.stop();
  }
});

test('a wrong key is refused in words that OBS shows', { timeout: 120_000 }, async () => {
  const obs = await Obs.start({ server: instance.endpoints.rtmp, key: 'not-a-key', file });
  try {
    await until('OBS says that the key was not accepted', () => (obs.mustRun(), /NetStream\.Publish\.BadName \(.*stream key/.test(obs.log.split('Connecting to RTMP URL')[1] ?? '')), 90_000, 300);
    mkdirSync(path.join(artefacts, 'screenshots'), { recursive: true });
    await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', '-f', 'x11grab', '-video_size', '1024x700', '-i', obs.display, '-frames:v', '1', path.join(artefacts, 'screenshots/obs-wrong-key.png')]);
    assert.doesNotMatch(instance.log('ingest'), /not-a-key/, 'keys never reach a log');
  } finally {
    await obs.stop();
  }
});
