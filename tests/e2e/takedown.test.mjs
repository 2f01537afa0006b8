// Taking down, seen from outside: what is deleted, hidden, ended or removed with its account stops playing at the edge
// within 10 s, in HLS and DASH, by its stable URLs, also where the edge had all of it in its cache a moment before; and
// its objects are gone from the store.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Instance, clip, publish, run, until } from './instance.mjs';
import { media, multivariant, text } from './hls.mjs';
import { Upload } from './tus.mjs';

/** The product's own promise (docs/running.md, "Taking down"). */
const stopsMs = 10_000;
/** A slow machine has its daemons back, and its small clips encoded, within this. */
const backMs = 120_000;
const password = 'correct horse battery';

let instance;
let bytes;
before(async () => {
  instance = await Instance.start('takedown');
  bytes = readFileSync(await clip(path.join(mkdtempSync('/tmp/rb-clips-'), 'small.mp4'), { size: '240x426', seconds: 3 }));
}, { timeout: 600_000 });
after(async () => instance && (await instance.stop()));

/** An account with a password of its own, and a token of it. */
async function account(name) {
  await instance.api('POST', '/admin/users', { name, password });
  return instance.userToken(name);
}

/** A video that plays: {video, upload, urls}. */
async function published(token, title) {
  const upload = await Upload.begin(instance, token, title, bytes);
  await upload.finish();
  const { video } = await instance.videoReady(upload.video, token);
  return { video: upload.video, upload: path.basename(upload.url.pathname), urls: await urlsOf(video) };
}

/** All that players and pages fetch of a video or a broadcast as it stands now. */
async function urlsOf({ hls, dash, poster }) {
  const urls = [hls, dash, poster].filter(Boolean).map((target) => instance.url(target));
  const { variants, audio } = await multivariant(instance.url(hls));
  for (const { url } of [...variants, ...audio]) {
    const { segments } = await media(url);
    const whole = segments.filter(({ gap }) => !gap);
    urls.push(url, ...new Set(whole.map(({ map }) => map)), ...whole.map((segment) => segment.url));
  }
  // What DASH plays are the same objects under the same names.
  const mpd = await text(instance.url(dash));
  assert.match(mpd, /SegmentTemplate|BaseURL/);
  return urls;
}

const statusesOf = (urls) => Promise.all(urls.map(async (url) => {
  const answer = await fetch(url);
  await answer.arrayBuffer();
  return answer.status;
}));

/** All of it was fetched, and what may be kept is in the edge's cache now. */
async function cached(urls) {
  assert.deepEqual(new Set(await statusesOf(urls)), new Set([200]));
  for (const url of urls.filter((one) => one.endsWith('.m4s'))) {
    const answer = await fetch(url);
    await answer.arrayBuffer();
    assert.match(answer.headers.get('cache-status'), /; hit/, `${url} is in the cache`);
  }
}

/** Every one of them is refused like this, within the promise, and stays so. */
async function stops(urls, status, what) {
  await until(`${what}: all of it answers ${status}`, async () => (await statusesOf(urls)).every((one) => one === status), stopsMs, 50);
  assert.deepEqual(new Set(await statusesOf(urls)), new Set([status]), `${what}: it stays so`);
}

/** The store's objects below a prefix. */
function objects(prefix) {
  const folder = path.join(instance.data, 'store', prefix);
  return existsSync(folder) ? readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map(({ name }) => name) : [];
}
const gone = (what, prefix, rest = []) => until(`the objects of ${what} are gone`, () => objects(prefix).sort().join() === rest.join(), stopsMs, 50);

/** Files of the edge's cache that hold media of this path: nginx writes each answer's key at its head. */
function cacheFiles(part) {
  const folder = path.join(instance.data, 'cache/edge/media');
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => {
    if (!entry.isFile()) return false;
    try {
      return readFileSync(path.join(entry.parentPath ?? entry.path, entry.name)).subarray(0, 2048).includes(part);
    } catch {
      return false; // removed meanwhile
    }
  });
}

function publishFor(t, key) {
  const publisher = publish(`${instance.endpoints.rtmp}/${key}`);
  t.after(() => publisher.kill());
  return publisher;
}
/** A broadcast of the token's owner with segments in every track: what the API says of it. */
async function onAir(publisher, token) {
  const live = await until('the live is on', async () => {
    publisher.mustRun();
    const mine = await instance.api('GET', '/me/live', null, token);
    return mine.live?.state === 'live' && mine.live;
  }, backMs);
  await until('every track has segments', async () => {
    publisher.mustRun();
    const { variants, audio } = await multivariant(instance.url(live.hls));
    const tracks = await Promise.all([...variants, ...audio].map(({ url }) => media(url)));
    return tracks.every(({ segments }) => segments.filter(({ gap }) => !gap).length >= 2);
  }, backMs);
  return live;
}

test('a deleted video: playlists, MPD, segments and poster are refused, its objects are gone, also after the edge was killed', { timeout: 400_000 }, async () => {
  const token = await account('deleter');
  const { video, upload, urls } = await published(token, 'To be deleted');
  assert.ok(urls.some((url) => url.endsWith('.mpd')) && urls.some((url) => url.endsWith('poster.jpg')) && urls.filter((url) => url.endsWith('.m4s')).length >= 3);
  await cached(urls);
  assert.ok(cacheFiles(`/v/${video}/`).length > 0, 'it lies in the cache');
  assert.ok(objects(`vod/${video}`).length > 2 && existsSync(path.join(instance.data, 'store/uploads', upload)));

  await instance.api('DELETE', `/videos/${video}`, null, token);
  await stops(urls, 410, 'the deleted video');
  await gone('the deleted video', `vod/${video}`, ['access.json']);
  await until('the uploaded file is gone', () => !existsSync(path.join(instance.data, 'store/uploads', upload)), stopsMs, 50);
  await until('the cache has none of it on disk', () => cacheFiles(`/v/${video}/`).length === 0, stopsMs, 100);
  await assert.rejects(instance.api('GET', `/videos/${video}`), { status: 404 });

  await instance.killed('edge'); // its shared memory is new
  await until('the site is back', async () => (await fetch(instance.endpoints.site)).ok, backMs);
  await stops(urls, 410, 'after a loss of the edge, the deleted video');
  await instance.killed('redis'); // it comes back empty, and is told
  await stops(urls, 410, 'after a loss of Redis, the deleted video');
});

test('a hidden video stops for everybody but its owner, keeps its objects, and comes back at the same URLs', { timeout: 400_000 }, async () => {
  const token = await account('hider');
  const { video, urls } = await published(token, 'To be hidden');
  await cached(urls);
  const before_hiding = objects(`vod/${video}`);

  const hidden = await instance.api('PATCH', `/videos/${video}`, { visibility: 'private' }, token);
  await stops(urls, 403, 'the hidden video');
  assert.deepEqual(objects(`vod/${video}`), before_hiding, 'its objects stay');
  assert.match(hidden.video.hls, /^\/t\//);
  assert.deepEqual(new Set(await statusesOf(await urlsOf(hidden.video))), new Set([200]), 'its owner plays it with a token');
  assert.ok(!(await instance.api('GET', '/feed')).items.some(({ id }) => id === video));

  await instance.api('PATCH', `/videos/${video}`, { visibility: 'public' }, token);
  await until('it plays again', async () => (await statusesOf(urls)).every((status) => status === 200), stopsMs, 50);
  assert.ok((await instance.api('GET', '/feed')).items.some(({ id }) => id === video));
});

test('an ended live has its end in every playlist and its publisher is out; taken down, nothing of it is left', { timeout: 400_000 }, async (t) => {
  const token = await account('liver');
  const { key } = await instance.api('GET', '/me/stream-key', null, token);
  const publisher = publishFor(t, key);
  const live = await onAir(publisher, token);

  await instance.api('POST', '/me/live/end', {}, token);
  const { variants, audio } = await multivariant(instance.url(live.hls));
  const tracks = [...variants, ...audio].map(({ url }) => url);
  await until('ENDLIST in every track', async () => (await Promise.all(tracks.map(media))).every(({ ended }) => ended), stopsMs, 50);
  await until('the MPD is static', async () => /type="static"/.test(await text(instance.url(live.dash))), stopsMs, 50);
  assert.ok(!(await instance.api('GET', '/lives')).items.some(({ stream }) => stream === live.stream), 'nobody is led there any more');
  await publisher.exited;
  assert.notEqual(await publishFor(t, key).exited, 0, 'the encoder that comes back by itself is refused');

  // It is kept, to be watched for a while; unless somebody wants it gone.
  const urls = await urlsOf(live);
  await cached(urls);
  assert.ok(objects(`live/${live.stream}`).length > 2);
  await instance.api('DELETE', `/lives/${live.stream}`, null, token);
  await stops(urls, 410, 'the live');
  await gone('the live', `live/${live.stream}`);
  await until('the cache has none of it on disk', () => cacheFiles(`/live/${live.stream}/`).length === 0, stopsMs, 100);
  await assert.rejects(instance.api('GET', `/lives/${live.stream}`), { status: 404 });
  await instance.killed('edge');
  await until('the site is back', async () => (await fetch(instance.endpoints.site)).ok, backMs);
  await stops(urls, 410, 'after a loss of the edge, the live');
});

test('a removed account: its videos, its live, its upload under way, its tokens and its name', { timeout: 400_000 }, async (t) => {
  const token = await account('leaver');
  const { video, upload, urls } = await published(token, 'Theirs');
  const { key } = await instance.api('GET', '/me/stream-key', null, token);
  const publisher = publishFor(t, key);
  const live = await onAir(publisher, token);
  const all = [...urls, ...(await urlsOf(live))];
  await cached(urls);
  const under_way = await Upload.begin(instance, token, 'Half', Buffer.alloc(4_000_000, 'x'));
  await under_way.piece(10_000);
  const unfinished = under_way.drip().then(() => under_way.done);
  unfinished.catch(() => {}); // looked at below
  await until('its upload is under way', () => under_way.sent > 10_000, backMs);

  await assert.rejects(instance.api('POST', '/me/remove', { password: 'not this one' }, token), { status: 401 });
  await instance.api('POST', '/me/remove', { password }, token);
  await stops(urls, 410, 'the account\'s video');
  await until('its live answers 410', async () => (await statusesOf(all)).every((status) => status === 410), stopsMs, 50);
  await publisher.exited;
  await gone('its video', `vod/${video}`, ['access.json']);
  await gone('its live', `live/${live.stream}`);
  await until('its file is gone', () => !existsSync(path.join(instance.data, 'store/uploads', upload)), stopsMs, 50);
  await assert.rejects(unfinished, /401|403/, 'its upload is cut off');
  for (const target of ['/me/videos', '/me/live']) await assert.rejects(instance.api('GET', target, null, token), { status: 401 });
  await assert.rejects(instance.api('GET', '/users/leaver'), { status: 404 });
  await assert.rejects(instance.api('POST', '/session', { name: 'leaver', password }, null), { status: 401 });
  assert.notEqual(await publishFor(t, key).exited, 0, 'its stream key is refused');
});

test('with Redis down: the origin refuses and the objects go at once; the edge plays only what it had cached, until Redis is back', { timeout: 400_000 }, async () => {
  const token = await account('unlucky');
  const { video, urls } = await published(token, 'While Redis is down');
  await cached(urls);
  const redis = path.join(instance.data, 'run/services/redis');
  const ping = () => run('redis-cli', ['-s', path.join(instance.data, 'run/redis.sock'), 'ping']);
  await run('s6-svc', ['-d', redis]);
  try {
    await until('Redis is down', async () => !/PONG/.test((await ping()).stdout), backMs, 50);
    await instance.api('DELETE', `/videos/${video}`, null, token);
    await gone('the video', `vod/${video}`, ['access.json']);
    const fresh = urls.find((url) => url.endsWith('/1.m4s')).replace('/1.m4s', '/9999.m4s'); // never asked for before
    await until('the origin refuses it', async () => (await statusesOf([fresh]))[0] === 410, stopsMs, 50);
    const still = await statusesOf(urls);
    assert.ok(still.every((status) => status === 200 || status === 410), `what is cached may play on, and nothing else happens: ${still}`);
    await until('it is owed, and the administrator is told', async () => {
      const { errands } = await instance.api('GET', '/admin/status');
      return errands.some(({ subject, kind }) => subject === video && kind === 'video_access');
    }, backMs);
  } finally {
    await run('s6-svc', ['-u', redis]);
  }
  await until('Redis answers', async () => /PONG/.test((await ping()).stdout), backMs, 50);
  await stops(urls, 410, 'once Redis is back, the video');
  await until('nothing is owed any more', async () => !(await instance.api('GET', '/admin/status')).errands.some(({ subject }) => subject === video), backMs);
});
