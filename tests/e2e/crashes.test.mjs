// kill -9 at random points: of any daemon, of what a daemon started, of two at once, while a live runs, uploads are under
// way, jobs encode and results are published. Whatever was promised must hold at the end: nothing acknowledged is lost,
// nothing ready lacks a rung, numbers never go back, viewers play on, nothing is left over.
//
//     RIBALTA_CRASH_SEED=…     the same kills of the same things at the same points again (the seed is printed)
//     RIBALTA_CRASH_ROUNDS=…   how many rounds; `scripts/test long` makes 150
import assert from 'node:assert/strict';
import { randomInt } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { spawnSync } from 'node:child_process';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { launch } from './browser.mjs';
import { Instance, clip, until } from './instance.mjs';
import { multivariant } from './hls.mjs';
import { Upload } from './tus.mjs';
import { Follower, Watcher, backMs, nginxWorkers, persistentPublisher } from './witnesses.mjs';

const rounds = Number(process.env.RIBALTA_CRASH_ROUNDS ?? 15);
const seed = Number(process.env.RIBALTA_CRASH_SEED ?? randomInt(2 ** 31));
/** Leftovers of an attempt that was killed are tidied away this late, in case somebody still writes them. */
const tidyMs = 600_000;

/** Mulberry32: the same numbers for the same seed. */
function generator(state) {
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
const random = generator(seed);
const below = (limit) => Math.floor(random() * limit);
const pick = (list) => list[below(list.length)];
/** A point in time that nothing tells apart: where a kill falls is what the seed decides. */
const moment = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

let instance;
let browser;
before(async () => {
  instance = await Instance.start('crashes');
  browser = await launch();
}, { timeout: 600_000 });
after(async () => {
  await browser?.close();
  await instance?.stop();
});

const services = ['control', 'packager', 'ingest', 'transcode', 'redis', 'edge'];
/** Process ids of who was started by this one. */
const childrenOf = (pid) => spawnSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' }).stdout.trim().split('\n').filter(Boolean).map(Number);

/** What can be killed: its process now, or nothing where there is none. */
const victims = {
  ...Object.fromEntries(services.map((service) => [service, () => instance.pid(service)])),
  'a media child': () => pick(childrenOf(instance.pid('transcode')).sort()),
  'a worker of nginx': async () => pick((await nginxWorkers(instance)).filter((pid) => pid > 0)),
};

/** Dead from here on; false: it was not there. */
async function kill(name) {
  const pid = await victims[name]();
  if (!(pid > 1)) return false;
  try {
    process.kill(pid, 'SIGKILL');
    return true;
  } catch (error) {
    if (error.code === 'ESRCH') return false; // it ended by itself a moment ago
    throw error;
  }
}
const allReady = () => (instance.mustRun(), services.every((service) => instance.isReady(service)));

/** An upload that is begun at once or, where what it needs was just killed, once that is back. */
async function begin(token, name, bytes) {
  let tries = 0;
  const upload = await until(`${name} begins`, () => (instance.mustRun(), (tries += 1), Upload.begin(instance, token, name, bytes)), backMs);
  upload.tries = tries;
  return upload;
}

/** Ways to have something under way. Each resolves when the kill may fall, to a function that brings it to its end. */
const works = {
  /** The first request, with the kill somewhere in it. */
  async begins(token, name, { slow }) {
    const begun = begin(token, name, slow);
    begun.catch(() => {}); // told below
    return { pause: 60, end: async () => { const upload = await begun; await upload.finish(); return upload; } };
  },
  /** Bytes that drip. */
  async drips(token, name, { slow }) {
    const upload = await begin(token, name, slow);
    await upload.piece(300_000);
    await upload.drip();
    return { pause: 1500, end: async () => { await upload.finish(); return upload; } };
  },
  /** The last bytes and what follows them: into the store, told to the control plane, a job. */
  async arrives(token, name, { short }) {
    const upload = await begin(token, name, short);
    const done = upload.finish();
    done.catch(() => {}); // told below
    return { pause: 250, end: async () => { await done; return upload; } };
  },
  /** A job: leased, encoded, stored, published. */
  async encodes(token, name, { short }) {
    const upload = await begin(token, name, short);
    await upload.finish();
    return { pause: 6000, end: () => upload };
  },
};

/** What every track and rendition of a video is, as a playlist tells it; the rates depend on the encoder's mood. */
async function rungsOf(url) {
  const { variants, audio } = await multivariant(url);
  return { video: variants.map(({ RESOLUTION, CODECS, url: at }) => `${path.basename(at)} ${RESOLUTION} ${CODECS}`), audio: audio.map(({ url: at }) => path.basename(at)) };
}

async function theEnd(token, upload) {
  return until(`${upload.video} ends`, async () => {
    instance.mustRun();
    const mine = await instance.api('GET', `/me/videos/${upload.video}`, null, token);
    return ['ready', 'failed'].includes(mine.state) && mine;
  }, 400_000, 500);
}

/** Files below a folder of the instance, but those of folders named so. */
function filesIn(folder) {
  const whole = path.join(instance.data, folder);
  if (!existsSync(whole)) return [];
  return readdirSync(whole, { withFileTypes: true }).flatMap((entry) => (entry.isDirectory() ? filesIn(path.join(folder, entry.name)) : [path.join(folder, entry.name)]));
}

/** What is being written of nobody: every lock is held, and nobody writes any more. */
function leftoversOfWriters() {
  return filesIn('store/.tmp').filter((file) => !file.endsWith('.lock') || spawnSync('flock', ['-n', path.join(instance.data, file), 'true']).status === 0);
}

test(`${rounds} rounds of kill -9 at random points, seed ${seed}`, { timeout: 900_000 + rounds * 120_000 }, async (t) => {
  t.diagnostic(`RIBALTA_CRASH_SEED=${seed} RIBALTA_CRASH_ROUNDS=${rounds}`);
  const publisher = persistentPublisher(`${instance.endpoints.rtmp}/${instance.endpoints.stream_key}`);
  t.after(() => publisher.stop());
  const folder = mkdtempSync('/tmp/rb-crashes-');
  const clips = {
    // Bytes enough to drip, few pictures; and pictures that take a while to encode.
    slow: readFileSync(await clip(path.join(folder, 'slow.mp4'), { size: '320x180', seconds: 1, extra: ['-b:v', '12M', '-minrate', '12M', '-maxrate', '12M', '-bufsize', '4M', '-x264-params', 'nal-hrd=cbr'] })),
    short: readFileSync(await clip(path.join(folder, 'short.mp4'), { size: '640x360', seconds: 5 })),
  };
  const token = async (round) => instance.userToken(`creator${Math.floor(round / 4)}`); // nobody has too many drafts
  // What each clip becomes while nothing dies.
  const whole = {};
  const uploads = [];
  for (const [name, bytes] of Object.entries(clips)) {
    const upload = await begin(await token(0), name, bytes);
    await upload.finish();
    const { video } = await instance.videoReady(upload.video, await token(0));
    whole[bytes.length] = await rungsOf(instance.url(video.hls));
    uploads.push({ upload, token: await token(0), how: 'before' });
  }
  assert.ok(whole[clips.short.length].video.length >= 2, `a ladder of several rungs: ${JSON.stringify(whole)}`);

  const live = await until('the live is listed', () => instance.liveNow(), 90_000);
  const master = await multivariant(instance.url(live.hls));
  const followers = [...master.variants, ...master.audio].map(({ url }) => new Follower(instance, url));
  t.after(() => Promise.all(followers.map((follower) => follower.stop())));
  const source = followers.find(({ name }) => name === 'src-v');
  await until('every track plays', () => (instance.mustRun(), followers.every(({ fetched }) => fetched.size >= 2)), backMs);
  const watcher = await Watcher.open(browser, instance.url(`/l/${live.stream}`));

  let drafts = 0; // videos of first requests that were never answered: they expire by themselves, with a reason
  for (let round = 1; round <= rounds; round++) {
    const mine = await until('a token', () => token(round), backMs);
    const kinds = [pick(Object.keys(works)), pick(Object.keys(works))];
    const first = pick(Object.keys(victims));
    const second = below(3) === 0 ? pick(Object.keys(victims)) : undefined;
    const [at, after_first] = [random(), below(2) * below(1200)];
    const under_way = [];
    for (const [i, kind] of kinds.entries()) under_way.push({ kind, ...(await works[kind](mine, `${round} ${i} ${kind}`, clips)) });
    const [seen, time] = [source.newest, await watcher.time()];
    const pause = Math.floor(at * under_way.at(-1).pause);
    await moment(pause);
    const said = `round ${round}: ${kinds.join(' and ')}; after ${pause} ms ${first}${second ? `, after ${after_first} ms ${second}` : ''}`;
    const found = await kill(first);
    if (second) {
      await moment(after_first);
      await kill(second);
    }
    t.diagnostic(found ? said : `${said} (was not there)`);

    await until(`${said}: all services are back`, allReady, backMs);
    for (const { kind, end } of under_way) {
      const upload = await end();
      drafts += upload.tries - 1;
      uploads.push({ upload, token: mine, how: `${said} (${kind})` });
    }
    await until(`${said}: the source goes on`, () => (instance.mustRun(), source.newest >= seen + 2), backMs);
    await until(`${said}: Chromium plays on`, async () => (await watcher.time()) >= time + 3, backMs);
  }

  const seen = followers.map(({ newest }) => newest);
  await until('every track goes on', () => (instance.mustRun(), followers.every(({ newest }, i) => newest >= seen[i] + 2)), backMs);
  assert.equal((await instance.liveNow(live.stream))?.stream, live.stream, 'it is still the same broadcast');
  for (const { name, complaints, compared } of followers) {
    assert.deepEqual(complaints, [], name);
    assert.ok(compared > 0, `${name}: something was asked for twice`);
  }
  assert.deepEqual(watcher.scriptErrors, [], 'no script error, no violation of the policy');

  // Every upload whose last byte was acknowledged has an end; what is ready is whole.
  const wrong = [];
  let failed = 0;
  for (const { upload, token: mine, how } of uploads) {
    const { state: end, work, video } = await theEnd(mine, upload);
    if (end === 'failed') {
      failed += 1;
      // Nothing is wrong with these files: only who worked on them may be blamed, and that takes three deaths.
      if (work?.kind !== 'worker' || !/^[A-Z].*\.$/s.test(work.reason ?? '')) wrong.push(`${how}: failed, ${JSON.stringify(work)}`);
      continue;
    }
    const rungs = await rungsOf(instance.url(video.hls));
    try {
      assert.deepEqual(rungs, whole[upload.bytes.length]);
    } catch {
      wrong.push(`${how}: ${JSON.stringify(rungs)} of ${JSON.stringify(whole[upload.bytes.length])}`);
    }
    const { stdout, stderr, code } = await instance.cli(['check', '--json', instance.url(video.hls)]);
    if (code !== 0) wrong.push(`${how}: ${stdout}${stderr}`);
  }
  assert.deepEqual(wrong, [], 'each video is ready and whole, or failed with a reason');
  t.diagnostic(`${uploads.length} uploads, ${failed} failed with a reason; ${followers.reduce((sum, { fetched }) => sum + fetched.size, 0)} segments`);
  assert.ok(failed <= uploads.length / 4, `${failed} of ${uploads.length} failed`);

  // Nothing is left over, and nothing waits for ever.
  await until('nothing waits', async () => {
    const { jobs, videos, errands, daemons } = await instance.api('GET', '/admin/status');
    return jobs.vod.queued + jobs.vod.leased === 0 && videos.processing === 0 && videos.draft <= drafts && errands.length === 0 && daemons.every(({ healthy }) => healthy);
  }, backMs);
  const bytes_of = (upload) => path.join('store/uploads', path.basename(upload.url.pathname));
  assert.deepEqual(filesIn('store/uploads').sort(), uploads.map(({ upload }) => bytes_of(upload)).sort(), 'the files that came, and no other');
  assert.deepEqual(filesIn('ingest/uploads').filter((file) => !file.endsWith('.json')).filter((file) => uploads.some(({ upload }) => file.includes(path.basename(upload.url.pathname)))), [], 'no bytes of uploads that have come');
  assert.deepEqual(filesIn('transcode'), [], 'nothing is spooled');
  // The packager writes on: a file that it writes now is none that is left.
  await until(`no file is left of a writer that was killed: ${leftoversOfWriters()}`, () => leftoversOfWriters().length === 0, 30_000, 20);
  const stale = () => uploads.flatMap(({ upload }) => {
    const versions = filesIn(path.join('store/vod', upload.video)).map((file) => file.split(path.sep)[3]).filter((name) => /^\d+$/.test(name));
    return new Set(versions).size > 1 ? [`${upload.video}: ${[...new Set(versions)]}`] : [];
  });
  if (rounds >= 100) await until(`leftovers of attempts that were killed are gone: ${stale()}`, () => stale().length === 0, tidyMs + backMs, 1000);
});
