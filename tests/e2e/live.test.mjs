// A live from a real encoder to playlists: appears, follows the clock, survives a cut line and ends after the grace period.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Instance, publish, run, until } from './instance.mjs';
import { flashInputs, measure, skews } from './flash.mjs';
import { media, multivariant, text } from './hls.mjs';
import { secondOpinions } from './opinions.mjs';

let instance;
before(async () => (instance = await Instance.start('live')), { timeout: 600_000 });
after(async () => instance && (await instance.stop()));

/** A publisher of flashes and beeps that ends with its test, however that ends. */
function publishFor(t, key = instance.endpoints.stream_key) {
  const publisher = publish(`${instance.endpoints.rtmp}/${key}`, { inputs: flashInputs({ size: '426x240', rate: 30 }) });
  t.after(() => publisher.kill());
  return publisher;
}
/** The live that this publisher is on, once it is listed. */
const liveOf = (publisher) => until('the live is listed', () => (publisher.mustRun(), instance.liveNow()), 90_000);

/** Sound and picture of everything that is listed are less than a frame apart, in every rung. */
async function together(tracks) {
  const listed = (await Promise.all(tracks.map((url) => media(url)))).flatMap(({ segments }) => segments.filter(({ gap }) => !gap));
  const pairs = skews(await measure(listed.flatMap(({ map, url }) => [map, url])));
  assert.ok(pairs.length >= 1, 'no flash with its beep');
  for (const { video, audio, worst } of pairs) assert.ok(Math.abs(worst) <= 1 / 30, `sound of ${audio} is ${Math.round(worst * 1000)} ms from the picture of ${video}`);
}

/** What is served holds against `ribalta check`, over some reloads. How fast the machine is is not its rule. */
async function holds(live) {
  const { stdout, stderr } = await instance.cli(['check', '--json', '--follow', '6', instance.url(`/l/${live.stream}`)]);
  assert.deepEqual(JSON.parse(stdout || `{"findings":[{"rule":"nothing was checked","what":${JSON.stringify(stderr)}}]}`).findings.filter(({ rule }) => rule !== 'stale'), []);
}

test('ffmpeg goes live, every rung plays in ffprobe, a cut line is one discontinuity in every track, and the stream ends', { timeout: 400_000 }, async (t) => {
  const first = publishFor(t);
  const live = await liveOf(first);
  const master = await multivariant(instance.url(live.hls));
  assert.ok(master.variants.length >= 1, 'the multivariant playlist lists a variant');
  for (const variant of master.variants) {
    assert.match(variant.CODECS, /avc1\.[0-9a-f]{6}/i);
    assert.match(variant.CODECS, /mp4a\.40\.2/);
    assert.ok(Number(variant.BANDWIDTH) > 0 && variant.RESOLUTION && variant['FRAME-RATE']);
  }
  const tracks = [...master.variants.map(({ url }) => url), ...master.audio.map(({ url }) => url)];
  for (const url of tracks) {
    await until(`three segments in ${url}`, async () => (first.mustRun(), (await media(url)).segments.filter(({ gap }) => !gap).length >= 3), 90_000);
  }
  for (const url of tracks) {
    const playlist = await media(url);
    for (const segment of playlist.segments) assert.ok(Math.round(segment.duration) <= playlist.target, `EXTINF ${segment.duration} over target ${playlist.target}`);
  }
  const probe = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name,width,height', '-of', 'json', instance.url(live.hls)]);
  assert.equal(probe.code, 0, probe.stderr);
  const streams = JSON.parse(probe.stdout).streams;
  assert.ok(streams.some(({ codec_name: codec, width }) => codec === 'h264' && width > 0));
  assert.ok(streams.some(({ codec_name: codec }) => codec === 'aac'));

  const mpd = await text(instance.url(live.dash));
  assert.match(mpd, /type="dynamic"/);
  assert.match(mpd, /SegmentTimeline/);
  const dash = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_name', '-of', 'json', instance.url(live.dash)], { timeout: 60_000 });
  assert.equal(dash.code, 0, dash.stderr);

  await holds(live);
  await secondOpinions({ hls: instance.url(live.hls), dash: instance.url(live.dash) });
  await together(tracks);
  const before_cut = await media(tracks[0]);
  await first.kill();
  const second = publishFor(t);
  const resumed = await until('segments after the cut', async () => {
    second.mustRun();
    const playlists = await Promise.all(tracks.map((url) => media(url)));
    const settled = playlists.every(({ segments }) => {
      const at = segments.findIndex(({ discontinuity }) => discontinuity);
      return at >= 0 && segments.slice(at).filter(({ gap }) => !gap).length >= 2;
    });
    return settled && playlists;
  }, 120_000);
  for (const playlist of resumed) {
    assert.equal(playlist.segments.filter(({ discontinuity }) => discontinuity).length + playlist.discontinuitySequence, 1, 'one discontinuity');
    assert.ok(playlist.sequence >= before_cut.sequence);
  }
  const numbers = resumed.map(({ segments, sequence }) => sequence + segments.findIndex(({ discontinuity }) => discontinuity));
  assert.equal(new Set(numbers).size, 1, `the discontinuity stands at the same media sequence number in all tracks: ${numbers}`);
  const still = await liveOf(second);
  assert.equal(still.stream, live.stream, 'the same stream goes on');

  await holds(live);
  await secondOpinions({ hls: instance.url(live.hls), dash: instance.url(live.dash) });
  await second.stop();
  await until('the stream ends after the grace period', async () => (await instance.api('GET', `/lives/${live.stream}`)).state === 'ended', 120_000);
  await until('ENDLIST in every track', async () => (await Promise.all(tracks.map((url) => media(url)))).every(({ ended }) => ended), 60_000);
});

test('a wrong key is refused, and a second publisher with a busy key too', { timeout: 240_000 }, async (t) => {
  const wrong = publishFor(t, 'no-such-key');
  assert.notEqual(await wrong.exited, 0);
  const first = publishFor(t);
  await liveOf(first);
  const second = publishFor(t);
  assert.notEqual(await second.exited, 0, 'the second publisher was let in');
  assert.ok(first.running, 'the first publisher was thrown out');
  await first.stop();
});

test('media answers carry Cache-Status and CORS, and nobody else may set our internal fields', { timeout: 180_000 }, async (t) => {
  const publisher = publishFor(t);
  const live = await liveOf(publisher);
  const answer = await fetch(instance.url(live.hls), { headers: { 'Ribalta-Authorised': '1' } });
  assert.match(answer.headers.get('cache-status') ?? '', /ribalta/i);
  assert.equal(answer.headers.get('access-control-allow-origin'), '*');
  const missing = await fetch(instance.url('/v/0000000000000000/1/index.m3u8'));
  assert.equal(missing.status, 403, 'what does not exist looks like what is private');
  assert.match(missing.headers.get('cache-status') ?? '', /ribalta/i);
  assert.equal((await fetch(instance.url('/internal/v1/jobs/lease'), { method: 'POST' })).ok, false);
  await publisher.stop();
});
