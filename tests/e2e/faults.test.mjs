// kill -9 of every daemon in turn. Each kill meets a live that Chromium plays and that is followed track by track, and an
// upload that is under way; the transcoder's kill also meets a job that encodes. Afterwards nothing that was promised is
// missing, and nothing is there twice.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { Hopeless, Instance, clip, run, until } from './instance.mjs';
import { multivariant } from './hls.mjs';
import { Upload } from './tus.mjs';
import { Follower, Watcher, backMs, nginxWorkers, persistentPublisher } from './witnesses.mjs';

// `scripts/test long` goes round many times; each round kills every daemon once.
const rounds = Number(process.env.RIBALTA_FAULT_ROUNDS ?? 1);

let instance;
let browser;
before(async () => {
  instance = await Instance.start('faults');
  browser = await launch();
}, { timeout: 600_000 });
after(async () => {
  await browser?.close();
  await instance?.stop();
});

/** Kills the worker that this upload goes through. */
async function killWorkerOf(upload) {
  const before_kill = await nginxWorkers(instance);
  const worker = await until('the worker that carries the upload', async () => {
    const { stdout } = await run('ss', ['-tnpH', 'state', 'established', `( sport = :${instance.endpoints.ports.site} and dport = :${upload.port} )`]);
    return Number(/pid=(\d+)/.exec(stdout)?.[1]);
  });
  assert.ok(before_kill.includes(worker), `${worker} is a worker of nginx`);
  process.kill(worker, 'SIGKILL');
  await until('nginx has another worker', async () => {
    const now = await nginxWorkers(instance);
    return now.length === before_kill.length && !now.includes(worker);
  }, backMs);
}

/** What is killed, how, and whether an upload under way notices. */
const kills = [
  { service: 'ingest', cuts: true },
  { service: 'packager', cuts: false },
  { service: 'transcode', cuts: false },
  { service: 'control', cuts: false },
  { service: 'redis', cuts: false },
  { service: 'a worker of nginx', cuts: true, kill: killWorkerOf },
];

/** An upload of its own whose job encodes now. */
async function encoding(token, bytes) {
  const upload = await Upload.begin(instance, token, 'encoding', bytes);
  await upload.finish();
  await until('its job encodes', async () => {
    instance.mustRun();
    const { state, work } = await instance.api('GET', `/me/videos/${upload.video}`, null, token);
    if (state === 'ready' || state === 'failed') throw new Hopeless(`it is ${state} before anything was killed: ${JSON.stringify(work)}`);
    return state === 'processing' && work?.stage === 'encode';
  }, backMs);
  return upload;
}

/** The versions of a video that exist, which is those with a video.json. */
function versionsOf(video) {
  const folder = path.join(instance.data, 'store/vod', video);
  const found = readdirSync(folder).filter((version) => existsSync(path.join(folder, version, 'video.json')));
  for (const version of found) assert.equal(JSON.parse(readFileSync(path.join(folder, version, 'video.json'), 'utf8')).video, video);
  return found;
}

test('each daemon is back by itself after kill -9, the live goes on, no upload is lost', { timeout: rounds * 400_000 }, async (t) => {
  const publisher = persistentPublisher(`${instance.endpoints.rtmp}/${instance.endpoints.stream_key}`);
  t.after(() => publisher.stop());
  const live = await until('the live is listed', () => instance.liveNow(), 90_000);
  const folder = mkdtempSync('/tmp/rb-faults-');
  // Bytes enough that no drip sends them all, and few pictures; and pictures enough that encoding takes its time.
  const slow = readFileSync(await clip(path.join(folder, 'slow.mp4'), { size: '320x180', seconds: 2, extra: ['-b:v', '12M', '-minrate', '12M', '-maxrate', '12M', '-bufsize', '4M', '-x264-params', 'nal-hrd=cbr'] }));
  const long = readFileSync(await clip(path.join(folder, 'long.mp4'), { size: '640x360', seconds: 40 }));
  const token = await instance.userToken();

  const master = await multivariant(instance.url(live.hls));
  const followers = [...master.variants, ...master.audio].map(({ url }) => new Follower(instance, url));
  t.after(() => Promise.all(followers.map((follower) => follower.stop())));
  assert.ok(followers.length >= 3, `source, a rung and sound: ${followers.map(({ name }) => name)}`);
  const source = followers.find(({ name }) => name === 'src-v');
  assert.ok(source, 'the source is a rung');
  await until('every track plays', () => (instance.mustRun(), followers.every(({ fetched }) => fetched.size >= 2)), backMs);
  const watcher = await Watcher.open(browser, instance.url(`/l/${live.stream}`));

  const uploads = [];
  const cut_while_encoding = [];
  for (let round = 1; round <= rounds; round++) {
    for (const { service, cuts, kill } of kills) {
      if (service === 'transcode') cut_while_encoding.push(await encoding(token, long));
      const upload = await Upload.begin(instance, token, `${service} ${round}`, slow);
      await upload.piece(500_000);
      await upload.drip();
      const [seen, at] = [source.newest, await watcher.time()];
      const of_upload = upload.port;

      await (kill ? kill(upload) : instance.killed(service));
      await until(`the source goes on after ${service} was killed`, () => (instance.mustRun(), source.newest >= seen + 2), backMs);
      await until(`Chromium plays on after ${service} was killed`, async () => (await watcher.time()) >= at + 3, backMs);
      assert.ok(upload.acknowledged < slow.length && of_upload, 'the kill met an upload that was under way');
      await upload.finish();
      assert.equal(upload.broken > 0, cuts, `${service} was killed, and the upload was cut ${upload.broken} times`);
      uploads.push(upload);
    }
    const seen = followers.map(({ newest }) => newest);
    await until('every track goes on', () => followers.every(({ newest }, i) => newest >= seen[i] + 2), backMs);
  }

  assert.equal((await instance.liveNow(live.stream))?.stream, live.stream, 'it is still the same broadcast');
  for (const { name, complaints } of followers) assert.deepEqual(complaints, [], name);
  // The source alone decides about periods: one more for each time that it had to connect anew.
  const last = Math.max(...source.numbers.keys());
  assert.equal(source.numbers.get(last).period, rounds, 'one discontinuity for each time that ingest was killed, and no other');
  assert.match(source.numbers.get(last).url, new RegExp(`/${rounds + 1}-${last}\\.m4s$`), 'as many epochs');
  for (const { name, numbers } of followers) {
    for (const [number, { period }] of numbers) assert.equal(period, source.numbers.get(number)?.period ?? period, `segment ${number} of ${name} is in the source's period`);
  }
  assert.deepEqual(watcher.scriptErrors, [], 'no script error, no violation of the policy');

  for (const { video } of [...uploads, ...cut_while_encoding]) {
    const ready = await instance.videoReady(video, token);
    const versions = versionsOf(video);
    assert.equal(versions.length, 1, `one published version of ${video}: ${versions}`);
    assert.ok(ready.video.hls.includes(`/${video}/${versions[0]}/`), `${ready.video.hls} is version ${versions[0]}`);
    assert.ok((await multivariant(instance.url(ready.video.hls))).variants.length >= 1);
  }
  for (const { video } of cut_while_encoding) assert.ok(Number(versionsOf(video)[0]) > 1, 'what was cut while it encoded was encoded again');
});
