// A disk that is full and one that breaks, below all daemons, while a live runs, viewers look on and uploads come; and
// daemons that die meanwhile. RIBALTA_CRASH_SEED makes the same again.
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { Disk } from './disk.mjs';
import { multivariant } from './hls.mjs';
import { Instance, clip, until } from './instance.mjs';
import { Upload } from './tus.mjs';
import { Follower, Watcher, backMs, persistentPublisher } from './witnesses.mjs';

const seed = Number(process.env.RIBALTA_CRASH_SEED ?? randomInt(2 ** 31));
let instance;
let browser;
let disk;
let token;
let bytes;
let live;
let publisher;
let followers = [];
let source;
let watcher;

before(async () => {
  instance = await Instance.start('disk');
  disk = await Disk.below(instance, seed);
  browser = await launch();
  token = await instance.userToken();
  bytes = readFileSync(await clip(path.join(mkdtempSync('/tmp/rb-disk-'), 'clip.mp4'), { size: '640x360', seconds: 4 }));
  publisher = persistentPublisher(`${instance.endpoints.rtmp}/${instance.endpoints.stream_key}`);
  live = await until('the live is listed', () => instance.liveNow(), 90_000);
  const master = await multivariant(instance.url(live.hls));
  followers = [...master.variants, ...master.audio].map(({ url }) => new Follower(instance, url));
  source = followers.find(({ name }) => name === 'src-v');
  await until('every track plays', () => (instance.mustRun(), followers.every(({ fetched }) => fetched.size >= 2)), backMs);
  watcher = await Watcher.open(browser, instance.url(`/l/${live.stream}`));
}, { timeout: 600_000 });
after(async () => {
  await publisher?.stop();
  await Promise.all(followers.map((follower) => follower.stop()));
  await browser?.close();
  await instance?.stop();
});

/** The live is followed and watched a good bit further. */
async function goesOn(when) {
  const [seen, time] = [source.newest, await watcher.time()];
  await until(`the source goes on ${when}`, () => (instance.mustRun(), source.newest >= seen + 3), backMs);
  await until(`Chromium plays on ${when}`, async () => (await watcher.time()) >= time + 4, backMs);
}

/** What holds of the live whatever the disk does. */
function nothingWentBack() {
  for (const { name, complaints } of followers) assert.deepEqual(complaints, [], name);
}
async function heldTheLine() {
  nothingWentBack();
  assert.equal((await instance.liveNow(live.stream))?.stream, live.stream, 'it is still the same broadcast');
  assert.deepEqual(watcher.scriptErrors, [], 'no script error, no violation of the policy');
}

/** Ready, whole, and in order. */
async function isReady(upload) {
  const { video } = await instance.videoReady(upload.video, token, 400_000);
  const { stdout, stderr, code } = await instance.cli(['check', '--json', instance.url(video.hls)]);
  assert.equal(code, 0, `${stdout}${stderr}`);
  return (await multivariant(instance.url(video.hls))).variants.length;
}
const healthy = () => until('every daemon is well', async () => {
  const { daemons, jobs, videos, errands } = await instance.api('GET', '/admin/status');
  return daemons.every((daemon) => daemon.healthy) && jobs.vod.queued + jobs.vod.leased + videos.processing + errands.length === 0;
}, backMs);

test('a full disk: lives go on, uploads wait with what they have, and all goes on once there is room', { timeout: 900_000 }, async (t) => {
  const whole = await Upload.begin(instance, token, 'while well', bytes);
  await whole.finish();
  const rungs = await isReady(whole);
  assert.ok(rungs >= 2);

  const under_way = await Upload.begin(instance, token, 'under way', bytes);
  await under_way.piece(100_000);
  const arrived = await Upload.begin(instance, token, 'arrived', bytes);
  await arrived.finish();
  disk.fill();

  const refused = await until('an upload is refused', async () => {
    const answer = await under_way.patch(under_way.acknowledged, bytes.subarray(under_way.acknowledged));
    if (answer.status === 204) throw new Error('there was room');
    return answer;
  });
  assert.equal(refused.status, 507, await refused.text());
  const kept = await under_way.offset();
  assert.ok(kept >= under_way.acknowledged && kept < bytes.length, `${kept} of ${bytes.length} bytes are kept`);
  under_way.acknowledged = kept;
  await assert.rejects(Upload.begin(instance, token, 'none', bytes), /: 50[37] .*"message":"[A-Z]/s, 'another one is refused in words');
  assert.equal((await instance.api('GET', `/videos/${whole.video}`)).id, whole.video, 'what is there is shown');
  await goesOn('with a full disk');
  await heldTheLine();

  for (const daemon of ['packager', 'ingest', 'transcode']) {
    await instance.killed(daemon);
    await goesOn(`after ${daemon} was killed with a full disk`);
    await heldTheLine();
  }
  // Its database needs room to be opened: until there is some, nobody begins anything, and what plays goes on playing.
  process.kill(instance.pid('control'), 'SIGKILL');
  await goesOn('after control was killed with a full disk');
  nothingWentBack();
  t.diagnostic(`failed: ${JSON.stringify(disk.failures)}`);
  assert.ok(disk.failures.no_space > 10, JSON.stringify(disk.failures));

  disk.mend();
  await until('control is back', () => (instance.mustRun(), instance.isReady('control')), backMs);
  await under_way.finish();
  assert.equal(await isReady(under_way), rungs);
  assert.equal(await isReady(arrived), rungs);
  await goesOn('once there is room');
  await instance.killed('packager');
  await goesOn('after the packager was killed once there was room');
  await heldTheLine();
  await healthy();
});

test(`a disk that breaks now and then, seed ${seed}: what was acknowledged ends, with a reason or well`, { timeout: 900_000 }, async (t) => {
  t.diagnostic(`RIBALTA_CRASH_SEED=${seed}`);
  const uploads = [];
  disk.break(0.03);
  disk.fill(0.05);
  for (let i = 0; i < 6; i++) {
    const upload = await until('an upload begins', () => Upload.begin(instance, token, `broken ${i}`, bytes), backMs);
    await upload.finish();
    uploads.push(upload);
  }
  await goesOn('on a disk that breaks');
  await heldTheLine();
  t.diagnostic(`failed: ${JSON.stringify(disk.failures)}`);
  assert.ok(disk.failures.broken > 10, JSON.stringify(disk.failures));
  disk.mend();
  for (const upload of uploads) {
    const mine = await until(`${upload.video} ends`, async () => {
      instance.mustRun();
      const now = await instance.api('GET', `/me/videos/${upload.video}`, null, token);
      return ['ready', 'failed'].includes(now.state) && now;
    }, 400_000, 500);
    if (mine.state === 'ready') await isReady(upload);
    else assert.match(`${mine.work?.kind}: ${mine.work?.reason}`, /^worker: [A-Z].*\.$/s, 'only who worked on it is blamed');
  }
  await goesOn('on a disk that was mended');
  await heldTheLine();
  await healthy();
});
