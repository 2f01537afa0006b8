// Uploads through the real door: ready and playing in HLS and DASH, or refused with a kind and a sentence.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, writeFileSync, existsSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Instance, clip, run } from './instance.mjs';
import { flashClip, measure, skews } from './flash.mjs';
import { media, multivariant } from './hls.mjs';
import { secondOpinions } from './opinions.mjs';
import { Upload } from './tus.mjs';

let instance;
let folder;
before(async () => {
  instance = await Instance.start('vod');
  folder = mkdtempSync('/tmp/rb-clips-');
}, { timeout: 600_000 });
after(async () => instance && (await instance.stop()));

const upload = async (...files) => {
  const ended = await instance.cli(['upload', '--wait', '--json', ...files], { timeout: 300_000 });
  return ended.stdout.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
};

test('a portrait clip becomes a ladder that plays in HLS and DASH with equal lengths of sound and picture', { timeout: 400_000 }, async () => {
  const [done] = await upload(await flashClip(path.join(folder, 'portrait.mp4'), { size: '540x960', seconds: 6 }));
  assert.equal(done.state, 'ready', JSON.stringify(done));
  const { variants, audio } = await multivariant(instance.url(done.hls));
  assert.ok(variants.length >= 2, 'more than one rung');
  assert.ok(variants.every(({ RESOLUTION }) => {
    const [width, height] = RESOLUTION.split('x').map(Number);
    return width < height && width <= 540 && width % 2 === 0 && height % 2 === 0;
  }), 'portrait, even, never larger than the source');
  const starts = [];
  const fetched = [];
  for (const variant of variants) {
    const playlist = await media(variant.url);
    assert.ok(playlist.ended);
    starts.push(playlist.segments.map(({ duration }) => duration.toFixed(3)).join());
    let peak = 0;
    for (const segment of playlist.segments) {
      fetched.push(segment.map, segment.url);
      assert.ok(Math.round(segment.duration) <= playlist.target);
      const bytes = (await (await fetch(segment.url)).arrayBuffer()).byteLength;
      peak = Math.max(peak, (bytes * 8) / segment.duration);
    }
    assert.ok(Number(variant.BANDWIDTH) >= peak, `BANDWIDTH ${variant.BANDWIDTH} under the peak ${peak}`);
  }
  assert.equal(new Set(starts).size, 1, 'all rungs are cut at the same frames');
  assert.equal(audio.length, 1);
  for (const { map, url } of (await media(audio[0].url)).segments) fetched.push(map, url);
  const pairs = skews(await measure(fetched));
  assert.equal(pairs.length, variants.length, 'every rung flashes, and beeps with it');
  for (const { video, worst } of pairs) assert.ok(Math.abs(worst) <= 1 / 30, `sound is ${Math.round(worst * 1000)} ms from the picture of ${video}`);
  const checked = await instance.cli(['check', done.hls]);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
  await secondOpinions({ hls: done.hls, dash: done.dash });
  for (const target of [done.hls, done.dash]) {
    const decoded = await run('ffmpeg', ['-nostdin', '-v', 'error', '-i', instance.url(target), '-map', '0:v:0', '-map', '0:a:0', '-f', 'null', '-'], { timeout: 60_000 });
    assert.equal(decoded.code, 0, decoded.stderr);
    assert.equal(decoded.stderr.trim(), '', `ffmpeg complained of ${target}`);
  }
});

test('what is no video is refused with its kind and a sentence, and the daemons stay up', { timeout: 400_000 }, async () => {
  const cases = { 'empty.mp4': ['empty', ''], 'text.mp4': ['not-media', 'this is not a video\n'.repeat(200)], 'canary.mp4': ['not-media', '#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n/etc/passwd\n#EXT-X-ENDLIST\n'] };
  for (const [name, [, content]] of Object.entries(cases)) writeFileSync(path.join(folder, name), content);
  await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', '-f', 'lavfi', '-i', 'sine=duration=2', '-c:a', 'aac', path.join(folder, 'sound.mp4')]);
  cases['sound.mp4'] = ['no-video'];
  const whole = readFileSync(await clip(path.join(folder, 'whole.mp4')));
  writeFileSync(path.join(folder, 'cut.mp4'), whole.subarray(0, 150_000));
  cases['cut.mp4'] = ['truncated'];
  for (const [name, [kind]] of Object.entries(cases)) {
    const [done] = await upload(path.join(folder, name));
    assert.equal(done.state, 'failed', `${name}: ${JSON.stringify(done)}`);
    assert.equal(done.kind, kind, `${name}: ${done.reason}`);
    assert.match(done.reason, /^[A-Z].*\.$/s, 'a sentence for the creator');
  }
});

test('an upload goes on after ingest was killed in the middle', { timeout: 400_000 }, async () => {
  const file = await clip(path.join(folder, 'large.mp4'), { size: '1280x720', seconds: 10, extra: ['-b:v', '20M', '-minrate', '20M', '-maxrate', '20M', '-bufsize', '4M', '-x264-params', 'nal-hrd=cbr'] });
  const token = await instance.userToken();
  const upload = await Upload.begin(instance, token, 'Large', readFileSync(file));
  await upload.piece(3_000_000);
  await instance.killed('ingest');
  assert.equal(await upload.offset(), 3_000_000, 'what was acknowledged is still there');
  assert.equal((await upload.patch(3_000_001, upload.bytes.subarray(3_000_001))).status, 409, 'a wrong offset is refused');
  await upload.finish();
  await instance.videoReady(upload.video, token);
});

test('a full disk: 507 with its reason, what was sent is kept, and the upload goes on once there is room', { timeout: 400_000 }, async (t) => {
  const uploads = path.join(instance.data, 'ingest/uploads');
  const mounted = await run('mount', ['-t', 'tmpfs', '-o', 'size=4m,mode=1777', 'tmpfs', uploads]);
  if (mounted.code !== 0) return t.skip(`no file system of a few megabytes can be mounted here: ${mounted.stderr}`);
  t.after(() => run('umount', ['-l', uploads]));
  const bytes = readFileSync(await clip(path.join(folder, 'dense.mp4'), { size: '320x180', seconds: 2, extra: ['-b:v', '12M', '-minrate', '12M', '-maxrate', '12M', '-bufsize', '4M', '-x264-params', 'nal-hrd=cbr'] }));
  assert.ok(bytes.length > 2_200_000 && bytes.length < 3_900_000, `${bytes.length} bytes: one fits, two do not`);
  const token = await instance.userToken();
  const first = await Upload.begin(instance, token, 'First', bytes);
  const second = await Upload.begin(instance, token, 'Second', bytes); // there is room for each, not for both
  await first.piece(2_000_000);
  const full = await second.patch(0, bytes);
  assert.equal(full.status, 507);
  assert.equal((await full.json()).error.code, 'no_space');
  const kept = await second.offset();
  assert.ok(kept > 1_000_000 && kept < bytes.length, `${kept} bytes are kept`);
  await assert.rejects(Upload.begin(instance, token, 'Third', bytes), /507/, 'told before a byte is sent');
  assert.equal((await instance.api('GET', `/me/videos/${second.video}`, null, token)).state, 'draft');
  assert.equal(await first.offset(), 2_000_000);

  assert.equal((await run('mount', ['-o', 'remount,size=32m', uploads])).code, 0);
  second.acknowledged = kept; // nothing of it is sent again
  await second.finish();
  assert.equal(second.broken, 0);
  await first.finish();
  for (const { video } of [first, second]) await instance.videoReady(video, token);
});

test('real files end as their manifest says', { timeout: 500_000, skip: process.env.RIBALTA_TEST_MEDIA ? false : 'RIBALTA_TEST_MEDIA is not set: no real files here' }, async () => {
  const manifest = path.join(process.env.RIBALTA_TEST_MEDIA, 'MANIFEST.tsv');
  assert.ok(existsSync(manifest));
  const rows = readFileSync(manifest, 'utf8').trim().split('\n').slice(1).map((line) => line.split('\t'));
  const wanted = ['uploads/rot90_iphone_dovi84_hevc10.mov', 'uploads/edit_list_starts_1s.mp4', 'uploads/vfr_android_slowmo.mp4', 'uploads/odd_161x121_vp9.webm', 'uploads/sar_64_45_bpyramid.mp4', 'uploads/h264_aac.flv',
    'uploads/image_photo.jpg', 'hostile/hls_playlist_renamed.mp4', 'hostile/zero_byte.mp4', 'hostile/cenc_short.mp4'];
  const found = rows.filter(([file]) => wanted.includes(file));
  assert.equal(found.length, wanted.length, 'the manifest names the files that are wanted here');
  for (const row of found) {
    const [done] = await upload(path.join(process.env.RIBALTA_TEST_MEDIA, row[0]));
    const expected = row[15];
    const ok = done.state === 'ready' ? /accept/.test(expected) : expected.includes(`reject:${done.kind}`);
    assert.ok(ok, `${row[0]}: ${done.state} ${done.kind ?? ''} ${done.reason ?? ''}; expected ${expected}`);
  }
});
