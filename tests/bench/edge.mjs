// Cache hits, kept alive, of a playlist's size and a segment's: the site's nginx with our module, as scripts/up configures
// it, beside nginx with static files, nginx with proxy_cache and Varnish. EDGE_ROUNDS and EDGE_SECONDS: how often, how long.
import { createHash, createPrivateKey, randomBytes, sign } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { availableParallelism, tmpdir } from 'node:os';
import path from 'node:path';
import { Instance, freePorts, run } from '../e2e/instance.mjs';
import { Server, costing, need, nginxHead, nginxHttp, startNginx, stopService } from './processes.mjs';
import { machine, print, row, version } from './report.mjs';

const rounds = Number(process.env.EDGE_ROUNDS ?? 5);
const seconds = Number(process.env.EDGE_SECONDS ?? 3);
const objects = 200;
/** Connections as the two kinds of request have them: many who ask for playlists, fewer who fetch. */
const sizes = [
  { name: '2k', bytes: 2048, connections: 64, file: 'v360.m3u8' },
  { name: '600k', bytes: 600 * 1024, connections: 32, file: 'v360/1.m4s' },
];
const folder = mkdtempSync(path.join(tmpdir(), 'ribalta-edge-'));
const say = (text) => process.stderr.write(`${text}\n`);

/** Videos with names as ours have; the second half may only be seen with a token. */
const videos = Array.from({ length: 2 * objects }, () => randomBytes(8).toString('hex'));
const open = videos.slice(0, objects);
const guarded = videos.slice(objects);
const target = (video, size) => `/v/${video}/1/${size.file}`;

const bodies = new Map();
for (const video of videos) {
  for (const size of sizes) {
    const bytes = randomBytes(size.bytes);
    bodies.set(target(video, size), bytes);
    const file = path.join(folder, 'files', target(video, size));
    mkdirSync(path.dirname(file), { recursive: true });
    writeFileSync(file, bytes);
  }
}

/** Fills the caches, with the fields that our packager sends, and is not asked again. */
let asked = 0;
const origin = createServer((request, answer) => {
  asked++;
  const bytes = bodies.get(request.url);
  if (!bytes) return answer.writeHead(404).end();
  const type = request.url.endsWith('.m3u8') ? 'application/vnd.apple.mpegurl' : 'video/iso.segment';
  answer.writeHead(200, { 'Content-Type': type, 'Content-Length': bytes.length, 'Cache-Control': 'public, max-age=31536000, immutable', 'Ribalta-Tag': `video:${request.url.split('/')[2]}` }).end(bytes);
});

/** RFC 8410: what stands before an Ed25519 seed in a private key. */
const pkcs8Head = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A playback token, as core/tokens.h has it. */
function token(instance, video) {
  const [id, seed] = readFileSync(path.join(instance.data, 'secrets/playback_signing'), 'utf8').trim().split(/\s+/);
  const key = createPrivateKey({ key: Buffer.concat([pkcs8Head, Buffer.from(seed, 'hex')]), format: 'der', type: 'pkcs8' });
  const expiry = (Math.ceil(Date.now() / 3_600_000) + 6) * 3600;
  const text = `v2.${id}.${expiry.toString(36)}.any.${Buffer.from(`/v/${video}/`).toString('base64url')}`;
  return `${text}.${sign(null, Buffer.from(text), key).toString('base64url')}`;
}

/** nginx's own signed links, as its documentation has them. */
const secret = randomBytes(16).toString('hex');
function secureLink(uri) {
  const expires = Math.ceil(Date.now() / 3_600_000 + 6) * 3600;
  return `${uri}?md5=${createHash('md5').update(`${expires}${uri} ${secret}`).digest('base64url')}&expires=${expires}`;
}

const ports = { static: 0, cache: 0, signedStatic: 0, signedCache: 0, varnish: 0 };

function peerConfiguration(socket) {
  const check = `secure_link $arg_md5,$arg_expires;
      secure_link_md5 "$secure_link_expires$uri ${secret}";
      if ($secure_link = "") { return 403; }
      if ($secure_link = "0") { return 410; }`;
  const cached = `proxy_pass http://origin;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_cache media;
      proxy_cache_key $uri;
      proxy_cache_lock on;`;
  return `${nginxHead(folder)}
http {${nginxHttp(folder)}
  open_file_cache max=4000 inactive=60s;
  upstream origin { server unix:${socket}; }
  proxy_cache_path ${folder}/cache levels=1:2 keys_zone=media:16m max_size=10g inactive=1d use_temp_path=off;
  server { listen 127.0.0.1:${ports.static}; root ${folder}/files; }
  server { listen 127.0.0.1:${ports.signedStatic}; root ${folder}/files; location / { ${check} } }
  server { listen 127.0.0.1:${ports.cache}; location / { ${cached} } }
  server { listen 127.0.0.1:${ports.signedCache}; location / { ${check}
      ${cached} } }
}
`;
}

/** Two pools as Varnish has by default; every connection has a thread, which wait there from the start. */
async function startVarnish(socket) {
  const vcl = path.join(folder, 'peer.vcl');
  writeFileSync(vcl, `vcl 4.1;\nbackend origin { .path = "${socket}"; }\n`);
  const work = path.join(folder, 'varnish');
  mkdirSync(work);
  return Server.start('varnishd', ['-F', '-j', 'none', '-n', work, '-f', vcl, '-a', `127.0.0.1:${ports.varnish}`, '-s', 'malloc,1g', '-p', 'thread_pool_min=100'],
    async () => (await fetch(`http://127.0.0.1:${ports.varnish}/`)).status === 404);
}

/** Each thread of wrk asks for all paths in turn, from a place of its own. */
function script(name, paths) {
  const file = path.join(folder, `${name}.lua`);
  writeFileSync(file, `local paths = {${paths.map((one) => JSON.stringify(one)).join(',')}}
local requests, at = {}, 0
local threads = 0
function setup(thread) thread:set("first", threads * 97) threads = threads + 1 end
function init(args) for i, path in ipairs(paths) do requests[i] = wrk.format("GET", path) end at = first end
function request() at = at % #requests + 1 return requests[at] end
function done(summary, latency, all)
  local e = summary.errors
  io.write(string.format('\\nJSON {"requests":%d,"us":%d,"bytes":%.0f,"errors":%d}\\n', summary.requests, summary.duration, summary.bytes, e.connect + e.read + e.write + e.status + e.timeout))
end
`);
  return file;
}

async function load(side, size, length) {
  const { stdout, stderr, code } = await run('wrk', ['-t', String(availableParallelism()), '-c', String(size.connections), '-d', `${length}s`, '-s', side.scripts[size.name], side.base], { timeout: 120_000 });
  const found = /JSON (\{.*\})/.exec(stdout);
  if (code !== 0 || !found) throw new Error(`wrk: ${stderr}${stdout}`);
  const result = JSON.parse(found[1]);
  if (result.errors > 0 || result.requests === 0) throw new Error(`${side.name}, ${size.name}: ${result.errors} errors in ${result.requests} requests`);
  if (result.bytes < result.requests * size.bytes) throw new Error(`${side.name}, ${size.name}: answers are too short`);
  return result;
}

need('wrk');
need('varnishd', 'varnish');
const instance = await Instance.start('bench-edge');
const servers = [];
try {
  // The origin's place is taken: everything that is measured comes from the caches.
  const socket = path.join(instance.data, 'run/packager.sock');
  await stopService(instance, 'packager');
  rmSync(socket, { force: true });
  await new Promise((resolve) => origin.listen(socket, resolve));
  chmodSync(socket, 0o666); // started by root, `up` and its nginx are another user
  const keys = [...open.map((video) => ['public', video]), ...guarded.map((video) => ['token', video])];
  const set = await run('redis-cli', ['-s', path.join(instance.data, 'run/redis.sock')], { input: keys.map(([access, video]) => `SET video:${video}:access ${access}\n`).join('') });
  if (set.code !== 0) throw new Error(set.stderr);

  const first = await freePorts(5);
  Object.assign(ports, { static: first, cache: first + 1, signedStatic: first + 2, signedCache: first + 3, varnish: first + 4 });
  writeFileSync(path.join(folder, 'nginx.conf'), peerConfiguration(socket));
  const nginx = await startNginx(path.join(folder, 'nginx.conf'), async () => (await fetch(`http://127.0.0.1:${ports.static}${target(open[0], sizes[0])}`)).ok);
  servers.push(nginx);
  const varnish = await startVarnish(socket);
  servers.push(varnish);

  const nginxVersion = version('/usr/sbin/nginx', '-v').replace('nginx version: ', '');
  const varnishVersion = /varnish-[0-9.]+/.exec(version('varnishd', '-V'))?.[0] ?? 'varnish';
  const plain = (size) => open.map((video) => target(video, size));
  const linked = (size) => open.map((video) => secureLink(target(video, size)));
  const site = instance.endpoints.site.replace(/\/$/, '');
  const mine = [instance.pid('edge'), instance.pid('redis')];
  const local = (port) => `http://127.0.0.1:${port}`;
  const sides = [
    { id: 'public', name: 'ours, public', base: site, pids: mine, paths: plain },
    { id: 'signed', name: 'ours, signed', base: site, pids: mine, paths: (size) => guarded.map((video) => `/t/${token(instance, video)}${target(video, size)}`) },
    { id: 'static', name: `${nginxVersion}, static files`, base: local(ports.static), pids: [nginx.pid], paths: plain },
    { id: 'proxy-cache', name: `${nginxVersion}, proxy_cache`, base: local(ports.cache), pids: [nginx.pid], paths: plain },
    { id: 'varnish', name: varnishVersion, base: local(ports.varnish), pids: [varnish.pid], paths: plain },
    { id: 'static-secure-link', name: `${nginxVersion}, static files, secure_link (MD5)`, base: local(ports.signedStatic), pids: [nginx.pid], paths: linked },
    { id: 'proxy-cache-secure-link', name: `${nginxVersion}, proxy_cache, secure_link (MD5)`, base: local(ports.signedCache), pids: [nginx.pid], paths: linked },
  ];
  // Every object of every side once, with its bytes: what is measured serves the right thing, and from its cache.
  for (const side of sides) {
    side.scripts = {};
    side.results = {};
    for (const size of sizes) {
      const paths = side.paths(size);
      side.scripts[size.name] = script(`${side.id}-${size.name}`, paths);
      side.results[size.name] = { us: [], rate: [] };
      for (const one of paths) {
        const answer = await fetch(side.base + one);
        const bytes = Buffer.from(await answer.arrayBuffer());
        const video = /\/v\/([0-9a-f]+)\//.exec(one)[1];
        if (!answer.ok || !bytes.equals(bodies.get(target(video, size)))) throw new Error(`${side.name}: ${answer.status} ${one}, ${bytes.length} bytes`);
      }
    }
  }
  for (const refused of [site + target(guarded[0], sizes[0]), local(ports.signedStatic) + target(open[0], sizes[0]), local(ports.signedCache) + target(open[0], sizes[0])]) {
    if ((await fetch(refused)).status !== 403) throw new Error(`without a signature ${refused} is served`);
  }
  for (const side of sides) for (const size of sizes) await load(side, size, 1);
  const filled = asked;
  for (let round = 0; round < rounds; ++round) {
    for (const size of sizes) {
      const order = sides.map((_, i) => sides[(i + round) % sides.length]);
      for (const side of order) {
        const { cpu, result } = await costing(side.pids, () => load(side, size, seconds));
        side.results[size.name].us.push((cpu * 1e6) / result.requests);
        side.results[size.name].rate.push((result.requests * 1e6) / result.us);
      }
    }
    say(`round ${round + 1} of ${rounds}`);
  }
  if (asked !== filled) throw new Error(`the origin was asked ${asked - filled} times while caches were measured`);

  const rows = [];
  const plainPeers = sides.filter(({ id }) => ['static', 'proxy-cache', 'varnish'].includes(id));
  const signedPeers = sides.filter(({ id }) => id.endsWith('secure-link'));
  for (const size of sizes) {
    for (const [ours, peers] of [[sides[0], plainPeers], [sides[1], [...plainPeers, ...signedPeers]]]) {
      for (const peer of peers) rows.push(row(`cpu/${ours.id}-${size.name}/${peer.id}`, 'us/req', ours.results[size.name].us, peer.results[size.name].us, peer.name));
      for (const peer of peers) rows.push(row(`rate/${ours.id}-${size.name}/${peer.id}`, 'req/s', ours.results[size.name].rate, peer.results[size.name].rate, peer.name));
    }
  }
  print(rows, process.argv.includes('--json'));
  say(`${machine()}; ${version('wrk', '-v').split(' Copyright')[0]} on the same cores; ${rounds} rounds of ${seconds} s, ${objects} objects of each size, ${sizes.map(({ name, connections }) => `${connections} connections (${name})`).join(', ')}`);
} finally {
  for (const server of servers) await server.stop();
  origin.close();
  origin.closeAllConnections();
  await instance.stop();
  rmSync(folder, { recursive: true, force: true });
}
