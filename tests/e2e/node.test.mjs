// A second node: an edge on a data folder of its own (as root in a network of its own, else on another loopback address)
// that serves what the first has; take-downs; the death of either; and who gets nothing.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Instance, clip, publish, root, run, until } from './instance.mjs';
import { media, multivariant } from './hls.mjs';

/** A network with one other machine in it, when root allows; both ends are this process's to remove. */
class OtherMachine {
  constructor() {
    const number = process.pid % 250;
    this.name = `rb${process.pid}`;
    this.link = `rbv${process.pid % 100_000}`;
    this.here = `10.213.${number}.1`;
    this.there = `10.213.${number}.2`;
    const ip = (...words) => {
      const done = spawnSync('ip', words, { encoding: 'utf8' });
      if (done.status !== 0) throw new Error(`ip ${words.join(' ')}: ${done.stderr ?? done.error}`);
    };
    try {
      ip('netns', 'add', this.name);
      ip('link', 'add', this.link, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', this.name);
      ip('address', 'add', `${this.here}/24`, 'dev', this.link);
      ip('link', 'set', this.link, 'up');
      ip('-n', this.name, 'address', 'add', `${this.there}/24`, 'dev', 'eth0');
      ip('-n', this.name, 'link', 'set', 'eth0', 'up');
      ip('-n', this.name, 'link', 'set', 'lo', 'up');
      this.before = ['ip', 'netns', 'exec', this.name];
    } catch (error) {
      this.remove();
      console.log(`# both nodes share this machine's network: ${error.message.trim()}`);
      [this.here, this.there, this.before] = ['127.0.0.1', '127.0.0.2', []];
    }
  }
  remove() {
    spawnSync('ip', ['link', 'delete', this.link]);
    spawnSync('ip', ['netns', 'delete', this.name]);
  }
}

let machine;
let first;
let edge;
let folder;
let token; // of the account that uploads
let live; // what is on air, and its publisher
before(async () => {
  machine = new OtherMachine();
  folder = mkdtempSync('/tmp/rb-clips-');
  first = await Instance.start('node-first', ['--share', machine.here]);
  token = await first.userToken();
}, { timeout: 600_000 });
after(async () => {
  await live?.publisher.kill();
  await edge?.stop();
  await first?.stop();
  machine?.remove();
  rmSync(folder, { recursive: true, force: true });
});

const upload = async (name, frequency) => {
  const file = await clip(path.join(folder, name), { size: '270x480', seconds: 4, extra: ['-metadata', `title=${frequency}`] });
  const done = await first.cli(['upload', '--wait', '--json', file], { timeout: 300_000 });
  const said = JSON.parse(done.stdout);
  assert.equal(said.state, 'ready', done.stdout + done.stderr);
  return said.video;
};
const mine = (video) => first.api('GET', `/me/videos/${video}`, null, token);
const playlistOf = async (video) => new URL((await mine(video)).video.hls, first.endpoints.site).pathname;
const statusOf = async (url) => (await fetch(url)).status;
const bytesOf = async (url) => {
  const answer = await fetch(url);
  assert.equal(answer.status, 200, url);
  return Buffer.from(await answer.arrayBuffer());
};
const on = (instance, url) => instance.url(new URL(url).pathname);

/** Every playlist and segment below a multivariant playlist, as paths. */
async function everything(instance, playlist) {
  const { variants, audio } = await multivariant(instance.url(playlist));
  const paths = [playlist];
  for (const { url } of [...variants, ...audio]) {
    const { segments } = await media(url);
    assert.ok(segments.length > 0, url);
    paths.push(new URL(url).pathname, new URL(segments[0].map).pathname, ...segments.filter(({ gap }) => !gap).map((segment) => new URL(segment.url).pathname));
  }
  return paths;
}

const edgeOptions = (more) => ['--role', 'edge', '--listen', machine.there, ...more];

test('a join line that is wrong, or of another machine, gets in nowhere', { timeout: 300_000 }, async () => {
  const added = await first.cli(['node', 'add', 'milan', '--json']);
  assert.equal(added.code, 0, added.stderr);
  const { join } = JSON.parse(added.stdout);
  assert.match(join, new RegExp(`^milan@${machine.here}:${first.port + 3}/rn_[a-z0-9]+/[0-9a-f]{64}$`));
  first.join = join;
  const status = await first.cli(['status']);
  assert.match(status.stdout, /milan +invited/);
  assert.equal(status.code, 0, 'an invitation is nothing wrong');

  const data = mkdtempSync('/tmp/rb-');
  const tryJoin = (line, options = []) => run([...machine.before, path.join(root, 'scripts/up')][0], [...machine.before.slice(1), ...(machine.before.length > 0 ? [path.join(root, 'scripts/up')] : []), '--data', data, '--port', String(first.port + 20), ...edgeOptions(['--join', line]), ...options]);
  const refusals = [
    [join.replace('rn_', 'rn_x'), /did not let us in: The join line is not good/],
    [join.replace('milan', 'rome'), /did not let us in: The join line is not good/],
    [join.replace(/.{4}$/, join.endsWith('0000') ? '1111' : '0000'), /is not the node that the join line names/],
    [join.replace(`:${first.port + 3}/`, `:${first.port + 9}/`), /Nothing that speaks TLS answers/],
    ['nonsense', /--join takes the whole line/],
  ];
  for (const [line, said] of refusals) {
    const refused = await tryJoin(line);
    assert.notEqual(refused.code, 0);
    assert.match(refused.stderr, said);
  }
  const mixed = await tryJoin(join, ['--share', machine.there]);
  assert.match(mixed.stderr, /--share is for the first node/);
  rmSync(data, { recursive: true, force: true });
});

test('the second machine joins with one line, and each shows the other', { timeout: 300_000 }, async () => {
  edge = await Instance.start('node-edge', edgeOptions(['--join', first.join]), { before: machine.before });
  assert.equal(edge.endpoints.role, 'edge');
  assert.equal(edge.endpoints.admin_token, undefined);
  assert.equal(edge.pid('control'), 0, 'no other role runs there');
  await until('the first hears of it', async () => /milan +ok/.test((await first.cli(['status'])).stdout));
  const status = await edge.cli(['status']);
  assert.equal(status.code, 0, status.stdout + status.stderr);
  assert.match(status.stdout, /Edge milan .*of the node at/);
  assert.match((await edge.cli(['user', 'add', 'somebody'])).stderr, /Do it there/);

  // What the edge holds opens nothing on the first: public halves, and a key of its own.
  const secret = readFileSync(path.join(first.data, 'secrets/playback_signing'), 'utf8').trim().split(' ')[1];
  const held = spawnSync('grep', ['-rlE', `${secret}|${first.endpoints.admin_token}|${readFileSync(path.join(first.data, 'secrets/node'), 'utf8')}`, edge.data], { encoding: 'utf8' });
  assert.equal(held.stdout, '', 'no secret of the first is on the edge');

  const again = mkdtempSync('/tmp/rb-');
  const [program, ...words] = [...machine.before, path.join(root, 'scripts/up'), '--data', again, '--port', String(first.port + 20), ...edgeOptions(['--join', first.join])];
  assert.match((await run(program, words)).stderr, /The join line is not good: it was used/);
  rmSync(again, { recursive: true, force: true });
});

test('videos play through the edge, byte for byte; private ones with their token alone', { timeout: 300_000 }, async () => {
  first.open = await upload('open.mp4');
  first.hidden = await upload('hidden.mp4');
  const playlist = await playlistOf(first.open);
  for (const target of await everything(first, playlist)) assert.deepEqual(await bytesOf(edge.url(target)), await bytesOf(first.url(target)), target);
  const checked = await first.cli(['check', edge.url(playlist)]);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);

  await first.api('PATCH', `/videos/${first.hidden}`, { visibility: 'private' }, token);
  const withToken = await playlistOf(first.hidden);
  assert.match(withToken, /^\/t\/v2\.s1\./);
  const bare = withToken.replace(/^\/t\/[^/]+/, '');
  for (const instance of [first, edge]) await until('a private video asks for a token', async () => (await statusOf(instance.url(bare))) === 403, 10_000);
  for (const target of await everything(first, withToken)) {
    assert.deepEqual(await bytesOf(edge.url(target)), await bytesOf(first.url(target)), target);
    assert.equal(await statusOf(edge.url(target.replace(/^\/t\/[^/]+/, ''))), 403, 'in the cache, and still not without a token');
  }
  const forged = withToken.replace(/(\.[^./]+)\//, (_, signature) => `${signature.slice(0, -2)}AA/`);
  assert.equal(await statusOf(edge.url(forged)), 403);
  // The site and its API, as the same people.
  assert.match(await (await fetch(edge.url('/'))).text(), /<title>/);
  const me = await fetch(edge.url(`/api/v1/me/videos/${first.hidden}`), { headers: { Authorization: `Bearer ${token}` } });
  assert.equal((await me.json()).visibility, 'private');
});

test('a live plays through the edge, byte for byte, as strictly as the pickiest player wants it', { timeout: 300_000 }, async () => {
  const key = first.endpoints.stream_key;
  live = { publisher: publish(`${first.endpoints.rtmp}/${key}`) };
  const onAir = await until('on air', () => (live.publisher.mustRun(), first.liveNow()), 60_000);
  live.stream = onAir.stream;
  live.playlist = onAir.hls;
  const { variants } = await until('the edge has it', async () => (await multivariant(edge.url(live.playlist))), 60_000);
  const seen = new Set();
  await until('six segments on both', async () => {
    live.publisher.mustRun();
    for (const segment of (await media(variants[0].url)).segments) {
      if (segment.gap || seen.has(segment.url)) continue;
      assert.deepEqual(await bytesOf(segment.url), await bytesOf(on(first, segment.url)), segment.url);
      seen.add(segment.url);
    }
    return seen.size >= 6;
  }, 90_000, 500);
  const checked = await first.cli(['check', '--follow', '6', edge.url(live.playlist)]);
  assert.equal(checked.code, 0, checked.stdout + checked.stderr);
});

test('strangers get nothing from the node port, whatever they say', { timeout: 120_000 }, async () => {
  const port = `https://${machine.here}:${first.port + 3}`;
  const made = await run('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2', '-subj', '/CN=ribalta-node', '-keyout', path.join(folder, 'key.pem'), '-out', path.join(folder, 'cert.pem')]);
  assert.equal(made.code, 0, made.stderr);
  const ask = async (target, ...more) => (await run('curl', ['-sk', '--max-time', '20', '-H', 'Ribalta-Edge: milan', '-H', 'Ribalta-Authorised: 1', '-o', '/dev/null', '-w', '%{http_code}', ...more, `${port}${target}`])).stdout;
  const own = ['--cert', path.join(folder, 'cert.pem'), '--key', path.join(folder, 'key.pem')];
  const node = ['--cert', path.join(edge.data, 'secrets/node_cert.pem'), '--key', path.join(edge.data, 'secrets/node_key.pem')];
  const hidden = (await playlistOf(first.hidden)).replace(/^\/t\/[^/]+/, '');
  for (const target of [await playlistOf(first.open), live.playlist, '/', '/api/v1/instance', '/node/v1/notices', '/node/v1/restricted']) {
    assert.equal(await ask(target), '403', `${target} without a certificate`);
    assert.equal(await ask(target, ...own), '403', `${target} with a stranger's`);
  }
  assert.equal(await ask('/node/v1/join', ...own, '-H', 'Content-Type: application/json', '-d', '{"name":"milan","secret":"rn_x"}'), '403');
  assert.equal(await ask(await playlistOf(first.open), ...node), '200');
  assert.equal(await ask(hidden, ...node), '403', 'an edge that says that a token was checked is not believed');
  assert.equal(await ask('/api/v1/admin/status', ...node), '401', 'nor is it an administrator');
  // It reads what viewers read; what writes wants an account's token, as from anybody.
  const open = await playlistOf(first.open);
  const writes = [['POST', '/node/v1/notices'], ['DELETE', '/node/v1/restricted'], ['PUT', open], ['DELETE', open], ['POST', live.playlist],
    ['POST', '/api/v1/videos'], ['DELETE', `/api/v1/videos/${first.open}`], ['PATCH', '/api/v1/admin/users/creator'], ['POST', '/files/'], ['POST', '/internal/v1/publish'], ['DELETE', `/videos/${first.open}`]];
  for (const [method, target] of writes) assert.match(await ask(target, ...node, '-X', method), /^4\d\d$/, `${method} ${target} with a node's certificate`);
  assert.equal(await ask(open, ...node), '200');
});

test('a take-down on the first ends playback on the edge within 10 s: a video, and the live of an account', { timeout: 120_000 }, async () => {
  const gone = await upload('gone.mp4');
  const targets = await everything(first, await playlistOf(gone));
  for (const target of targets) await bytesOf(edge.url(target)); // all of it is in the edge's cache
  const fast = (what, check) => until(what, check, 10_000);
  await first.api('DELETE', `/videos/${gone}`, null, token);
  await fast('all of the video is gone', async () => (await Promise.all(targets.map((target) => statusOf(edge.url(target))))).every((status) => status === 410));
  first.gone = targets;

  const lives = await everything(first, live.playlist);
  const segment = lives.findLast((target) => target.endsWith('.m4s'));
  await bytesOf(edge.url(segment));
  await first.api('PATCH', '/admin/users/creator', { suspended: true });
  await fast('the live and its segments are gone', async () => (await statusOf(edge.url(live.playlist))) >= 404 && (await statusOf(edge.url(segment))) >= 404);
  await live.publisher.kill();
  await first.api('PATCH', '/admin/users/creator', { suspended: false });
  token = await first.userToken();
  await until('its videos are back on the edge', async () => (await statusOf(edge.url(await playlistOf(first.open)))) === 200, 20_000);
});

test('the first dies: what is in the edge\'s cache plays on, health says why no more comes; it returns, and all goes on', { timeout: 300_000 }, async () => {
  // One that was never taken down; what was restricted is asked for anew by an edge that has restarted.
  const kept = await everything(first, await playlistOf(await upload('kept.mp4')));
  const hidden = await everything(first, await playlistOf(first.hidden));
  const bytes = new Map();
  for (const target of [...kept, ...hidden]) bytes.set(target, await bytesOf(edge.url(target)));
  await first.perish();
  const allKept = async (targets = [...bytes.keys()]) => {
    for (const [target, was] of targets.map((one) => [one, bytes.get(one)])) assert.deepEqual(await bytesOf(edge.url(target)), was, target);
    assert.equal(await statusOf(edge.url(hidden[0].replace(/^\/t\/[^/]+/, ''))), 403, 'tokens are checked as before');
    for (const target of first.gone) assert.equal(await statusOf(edge.url(target)), 410, 'what was taken down stays so');
  };
  await allKept();
  const api = await fetch(edge.url('/api/v1/feed'));
  assert.equal(api.status, 503);
  assert.equal((await api.json()).error.code, 'unavailable');
  assert.equal(await statusOf(edge.url('/')), 200);
  const status = await until('the edge says so', async () => {
    const said = await edge.cli(['status']);
    return said.code === 1 && said;
  }, 60_000, 500);
  assert.match(status.stdout, /the first node has not been followed for \d+ s: what is in the cache plays on/);

  // The edge loses power, too, and comes back first.
  await edge.perish();
  edge.options = edgeOptions([]); // it has joined: no line is needed any more
  await edge.up();
  await allKept(kept);

  await first.up();
  await until('the edge follows again', async () => (await edge.cli(['status'])).code === 0, 60_000, 500);
  await until('the first shows it', async () => /milan +ok/.test((await first.cli(['status'])).stdout), 30_000, 500);
  const fresh = await upload('fresh.mp4');
  const targets = await everything(first, await playlistOf(fresh));
  for (const target of targets) assert.deepEqual(await bytesOf(edge.url(target)), await bytesOf(first.url(target)));
  await first.api('DELETE', `/videos/${fresh}`, null, token);
  await until('take-downs come as before', async () => (await statusOf(edge.url(targets[0]))) === 410, 10_000);
});

test('the edge dies: the first plays on, and says that it is not heard of; started again, it serves', { timeout: 300_000 }, async () => {
  await edge.perish();
  const playlist = await playlistOf(first.open);
  for (const target of await everything(first, playlist)) await bytesOf(first.url(target));
  const status = await until('the first says so', async () => {
    const said = await first.cli(['status']);
    return said.code === 1 && said;
  }, 60_000, 500);
  assert.match(status.stdout, /milan +not heard of for \d+ s/);
  await edge.up();
  await bytesOf(edge.url(playlist));
  await until('the first hears of it', async () => (await first.cli(['status'])).code === 0, 30_000, 500);
});

test('a node that was removed gets nothing more, and knows it; invited again, it is welcome', { timeout: 300_000 }, async () => {
  const removed = await first.cli(['node', 'remove', 'milan']);
  assert.equal(removed.code, 0, removed.stderr);
  const fresh = await upload('late.mp4');
  const target = await playlistOf(fresh);
  assert.equal(await statusOf(edge.url(target)), 403, 'nothing new');
  const api = await fetch(edge.url('/api/v1/feed'));
  assert.equal(api.status, 403);
  const status = await until('the edge knows', async () => {
    const said = await edge.cli(['status']);
    return said.code === 1 && said;
  }, 30_000, 500);
  assert.match(status.stdout, /the first node does not know this node/);
  assert.doesNotMatch((await first.cli(['status'])).stdout, /milan/);
  assert.match((await first.cli(['node', 'remove', 'milan'])).stderr, /no node of that name/);

  const { join } = JSON.parse((await first.cli(['node', 'add', 'milan', '--json'])).stdout);
  assert.equal(await edge.stop({ keep: true }), 130);
  edge.options = edgeOptions(['--join', join]);
  await edge.up();
  await bytesOf(edge.url(target));
  await until('all is well', async () => (await first.cli(['status'])).code === 0 && (await edge.cli(['status'])).code === 0, 30_000, 500);
});
