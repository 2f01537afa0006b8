// Ten minutes in four rungs that are encoded already, and sound, packaged for HLS and DASH, then everything that players
// fetch served once: what our farm's child, its parent and the packager do, beside FFmpeg's dash muxer and nginx.
//
// Both sides read the same MP4 of five tracks. Ours: demuxed and written as CMAF in the sandboxed child, checked and spooled
// by the parent, stored and synced as one file for each track; manifests and segments are made by the packager when they
// are asked for. The peer: FFmpeg writes each segment as a file, HLS playlists and MPD; nginx serves them. Neither side's
// reader counts. PACKAGE_ROUNDS and PACKAGE_SECONDS: how often, how long.
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Server, costing, measured, nginxHead, nginxHttp, startNginx } from './processes.mjs';
import { machine, print, row, version } from './report.mjs';
import { ffmpeg, film, program } from './source.mjs';

const rounds = Number(process.env.PACKAGE_ROUNDS ?? 5);
const seconds = Number(process.env.PACKAGE_SECONDS ?? 600);
const folder = mkdtempSync(path.join(tmpdir(), 'ribalta-package-'));
const say = (text) => process.stderr.write(`${text}\n`);

/** One file with the four rungs (as our own ladder has them) and the sound, `seconds` long: the film again and again. */
function makeInput() {
  const { file, name, seconds: length } = film(folder, 50);
  say(`encoding ${name} in four rungs, once`);
  const made = path.join(folder, 'made');
  const { out } = measured(program('ribalta-transcode'), ['file', file, made]);
  const { record } = JSON.parse(out);
  const tracks = [...record.video_tracks, ...record.audio_tracks].map(({ track, file: object, fps }) => {
    const one = path.join(folder, `${track}.mp4`);
    // Whole GOPs alone, so that it can be repeated without a stub at each seam.
    const frames = fps ? ['-frames:v', String(Math.floor(length / 2) * 2 * fps)] : [];
    ffmpeg('-i', path.join(made, 'vod/local/1', object), '-c', 'copy', ...frames, one);
    return one;
  });
  if (record.video_tracks.length !== 4) throw new Error(`the film has ${record.video_tracks.length} rungs, not four`);
  const input = path.join(folder, 'input.mp4');
  ffmpeg(...tracks.flatMap((one) => ['-stream_loop', String(Math.ceil(seconds / length)), '-i', one]), ...tracks.flatMap((_, i) => ['-map', String(i)]), '-t', String(seconds), '-c', 'copy', input);
  rmSync(made, { recursive: true });
  return { input, name };
}

const agent = new http.Agent({ keepAlive: true, maxSockets: 4 });
function fetchFrom(socketPath, target) {
  return new Promise((resolve, reject) => {
    http.get({ socketPath, path: target, agent }, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('end', () => (answer.statusCode === 200 ? resolve(Buffer.concat(pieces)) : reject(new Error(`${target}: ${answer.statusCode} ${Buffer.concat(pieces)}`))));
      answer.on('error', reject);
    }).on('error', reject);
  });
}

/** Everything behind the two manifests, four at a time: how many files, how many bytes. */
async function fetchAll(socket, base, hls, dash) {
  const found = { files: 0, bytes: 0, segments: 0 };
  const take = async (target) => {
    const bytes = await fetchFrom(socket, target);
    found.files++;
    found.bytes += bytes.length;
    if (target.endsWith('.m4s') && !target.includes('init')) found.segments++;
    return bytes.toString('latin1');
  };
  const named = (playlist, text) => text.split('\n').flatMap((line) => {
    const uri = line.startsWith('#') ? /URI="([^"]+)"/.exec(line)?.[1] : line;
    return uri ? [path.posix.join(path.posix.dirname(playlist), uri)] : [];
  });
  await take(`${base}/${dash}`);
  const playlists = [...new Set(named(`${base}/${hls}`, await take(`${base}/${hls}`)))];
  const media = [];
  for (const playlist of playlists) media.push(...new Set(named(playlist, await take(playlist))));
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (let one = media.pop(); one; one = media.pop()) await take(one);
  }));
  return found;
}

const { input, name } = makeInput();
const data = path.join(folder, 'data');
const store = path.join(data, 'store');
for (const one of ['secrets', 'run']) mkdirSync(path.join(data, one), { recursive: true });
writeFileSync(path.join(data, 'secrets/node'), randomBytes(32).toString('hex'), { mode: 0o600 });
writeFileSync(path.join(data, 'ribalta.toml'), `[node]\ndata = "${data}"\n`);

async function ours(packager) {
  const video = randomBytes(8).toString('hex');
  mkdirSync(path.join(store, 'vod', video), { recursive: true });
  writeFileSync(path.join(store, 'vod', video, 'access.json'), '{"access":"public"}');
  const write = measured(program('ribalta-package-bench'), [input, store, video]);
  const serve = await costing([packager.pid], () => fetchAll(path.join(data, 'run/packager.sock'), `/v/${video}/1`, 'index.m3u8', 'index.mpd'));
  rmSync(path.join(store, 'vod', video), { recursive: true });
  return { write: write.cpu, serve: serve.cpu, whole: write.cpu + serve.cpu, wall: write.seconds + serve.seconds, ...serve.result };
}

const peerFiles = path.join(folder, 'peer');
const peerSocket = path.join(folder, 'peer.sock');
async function peer(nginx) {
  rmSync(peerFiles, { recursive: true, force: true });
  mkdirSync(peerFiles);
  // Each track an adaptation set of its own, as by default: the muxer refuses one of rungs whose shapes differ by a rounded pixel.
  const write = measured('ffmpeg', ['-v', 'error', '-nostdin', '-i', input, '-map', '0', '-c', 'copy', '-f', 'dash', '-seg_duration', '2', '-hls_playlist', '1', path.join(peerFiles, 'index.mpd')]);
  const serve = await costing([nginx.pid], () => fetchAll(peerSocket, '', 'master.m3u8', 'index.mpd'));
  return { write: write.cpu, serve: serve.cpu, whole: write.cpu + serve.cpu, wall: write.seconds + serve.seconds, ...serve.result, on_disk: readdirSync(peerFiles).length };
}

const servers = [];
try {
  const packager = await Server.start(program('ribalta-packager'), ['--config', path.join(data, 'ribalta.toml')], async () => (await fetchFrom(path.join(data, 'run/packager.sock'), '/healthz')).length > 0);
  servers.push(packager);
  writeFileSync(path.join(folder, 'nginx.conf'), `${nginxHead(folder)}
http {${nginxHttp(folder)}
  server { listen unix:${peerSocket}; root ${peerFiles}; location = /healthz { return 200; } }
}
`);
  const nginx = await startNginx(path.join(folder, 'nginx.conf'), async () => (await fetchFrom(peerSocket, '/healthz'), true));
  servers.push(nginx);
  const results = { ours: [], peer: [] };
  for (let round = 0; round < rounds; ++round) {
    for (const [side, measure] of [['ours', () => ours(packager)], ['peer', () => peer(nginx)]]) results[side].push(await measure());
    say(`round ${round + 1} of ${rounds}`);
  }
  const [mine, theirs] = [results.ours[0], results.peer[0]];
  // The same work: as many segments, and the same media within what boxes take.
  if (mine.segments < 5 * Math.floor(seconds / 2) || Math.abs(mine.segments / theirs.segments - 1) > 0.02) throw new Error(`${mine.segments} segments beside ${theirs.segments}: not the same work`);
  if (Math.abs(mine.bytes / theirs.bytes - 1) > 0.03) throw new Error(`${mine.bytes} bytes beside ${theirs.bytes}: not the same media`);
  const ffmpegVersion = version('ffmpeg', '-version').split(' ').slice(0, 3).join(' ');
  const peerName = `${ffmpegVersion}, dash muxer; ${version('/usr/sbin/nginx', '-v').replace('nginx version: ', '')}`;
  const column = (key) => [results.ours.map((one) => one[key]), results.peer.map((one) => one[key])];
  print([
    row('cpu/package-and-serve', 's', ...column('whole'), peerName),
    row('cpu/package', 's', ...column('write'), ffmpegVersion),
    row('cpu/serve', 's', ...column('serve'), peerName.split('; ')[1]),
    row('wall/package-and-serve', 's', ...column('wall'), peerName),
    row('bytes/fetched', 'MB', ...column('bytes').map((list) => list.map((bytes) => bytes / 1e6)), ffmpegVersion),
  ], process.argv.includes('--json'));
  say(`${machine()}; ${seconds} s of four rungs and sound (${name}, repeated); ${mine.files} files fetched from ours, ${theirs.files} from the peer; ${rounds} rounds`);
  const missing = ['MP4Box', 'mp4dash'].filter((tool) => spawnSync('bash', ['-c', 'command -v "$1"', 'bash', tool]).status !== 0);
  if (missing.length > 0) say(`left out: ${missing.join(' and ')} (not in Debian 12)`);
} finally {
  for (const server of servers) await server.stop();
  agent.destroy();
  rmSync(folder, { recursive: true, force: true });
}
