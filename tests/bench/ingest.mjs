// 200 publishers of 1 Mb/s over RTMP, each into HLS with segments of 2 s on the disk: ingest and packager together, beside
// nginx-rtmp with `hls on`. No farm works: the source passes through. CPU and memory of the daemons alone; what publishes is
// ribalta-rtmp-load, for both. INGEST_ROUNDS, INGEST_SECONDS, INGEST_PUBLISHERS.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Instance, freePorts, until } from '../e2e/instance.mjs';
import { costing, nginxHead, nginxHttp, residentMb, startNginx, stopService } from './processes.mjs';
import { machine, print, row, version } from './report.mjs';
import { ffmpeg, film, program } from './source.mjs';

const rounds = Number(process.env.INGEST_ROUNDS ?? 3);
const seconds = Number(process.env.INGEST_SECONDS ?? 20);
const publishers = Number(process.env.INGEST_PUBLISHERS ?? 200);
const folder = mkdtempSync(path.join(tmpdir(), 'ribalta-ingest-'));
const say = (text) => process.stderr.write(`${text}\n`);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
/** Until what begins with a stream (verdict, plan, first segments) is over. */
const settleMs = 5000;

/** 20 s of 640x360 at 1 Mb/s with sound, a key frame every 2 s, B-frames: as OBS sends it. */
function makeRecording() {
  const { file, name } = film(folder, 40);
  const recording = path.join(folder, 'recording.flv');
  ffmpeg('-stream_loop', '-1', '-i', file, '-ss', '10', '-t', '20', '-vf', 'scale=640:360,fps=30', '-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-g', '60', '-keyint_min', '60', '-sc_threshold', '0',
    '-b:v', '900k', '-minrate', '900k', '-maxrate', '900k', '-bufsize', '900k', '-x264-params', 'nal-hrd=cbr', '-c:a', 'aac', '-b:a', '96k', '-ac', '2', '-f', 'flv', recording);
  return { recording, name, megabits: (statSync(recording).size * 8) / 20e6 };
}
const { recording, name, megabits } = makeRecording();

/** Publishes with all keys; `during` runs once all publish. @returns what it gives, and the load tool's own report. */
async function publishing(port, keys, during) {
  const list = path.join(folder, 'keys');
  writeFileSync(list, keys.join('\n'), { mode: 0o600 });
  const child = spawn(program('ribalta-rtmp-load'), ['--port', String(port), '--keys', list, '--file', recording], { stdio: ['ignore', 'pipe', 'inherit'] });
  const lines = [];
  createInterface({ input: child.stdout }).on('line', (line) => lines.push(JSON.parse(line)));
  const exited = new Promise((resolve) => child.on('close', resolve));
  try {
    await until('all publish', () => lines.length > 0 || child.exitCode !== null, 60_000);
    if (lines.length === 0) throw new Error('ribalta-rtmp-load has ended');
    await pause(settleMs);
    const result = await during();
    child.kill('SIGTERM');
    await exited;
    const report = lines.at(-1);
    if (report.publishers !== publishers) throw new Error(`${report.publishers} of ${publishers} publish until the end: ${JSON.stringify(report)}`);
    return { ...result, report };
  } finally {
    child.kill('SIGKILL');
  }
}

const filesIn = (where, ending) => readdirSync(where, { recursive: true }).filter((file) => file.endsWith(ending));

/** Each stream's segments: how many there are at least. `streamOf` names the stream in a path. */
function fewest(files, streamOf) {
  const counts = new Map();
  for (const file of files) counts.set(streamOf(file), (counts.get(streamOf(file)) ?? 0) + 1);
  if (counts.size !== publishers) throw new Error(`segments of ${counts.size} streams, not of ${publishers}`);
  return Math.min(...counts.values());
}

/** CPU for a minute of all publishers, while `during` measures. */
const perMinute = ({ cpu, seconds: wall }) => (cpu * 60) / wall;

async function ours() {
  Object.assign(process.env, { RIBALTA_INGEST_CONNECTIONS_PER_ADDRESS_MAX: '1000', RIBALTA_CONTROL_LIVE_RUNGS_MAX: '0' });
  const instance = await Instance.start('bench-ingest');
  try {
    await stopService(instance, 'transcode');
    const keys = [];
    for (let i = 0; i < publishers; ++i) keys.push((await instance.api('POST', '/admin/users', { name: `publisher${i}` })).stream_key);
    const media = ['ingest', 'packager'].map((service) => instance.pid(service));
    const others = ['control', 'redis', 'edge'].map((service) => instance.pid(service));
    return await publishing(instance.endpoints.ports.rtmp, keys, async () => {
      const other = costing(others, () => pause(seconds * 1000));
      const cost = await costing(media, () => pause(seconds * 1000));
      const segments = fewest(filesIn(path.join(instance.data, 'store/live'), '.m4s').filter((file) => file.includes('/src-v/')), (file) => file.split('/')[0]);
      return { cpu: perMinute(cost), others: perMinute(await other), rss: residentMb(...media), segments };
    });
  } finally {
    await instance.stop();
  }
}

async function peer() {
  const home = path.join(folder, 'peer');
  rmSync(home, { recursive: true, force: true });
  mkdirSync(path.join(home, 'hls'), { recursive: true });
  const port = await freePorts(2);
  writeFileSync(path.join(home, 'nginx.conf'), `${nginxHead(home, 'load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;')}
rtmp {
  access_log off;
  server {
    listen 127.0.0.1:${port};
    chunk_size 4096;
    application live {
      live on;
      hls on;
      hls_path ${home}/hls;
      hls_fragment 2s;
      hls_playlist_length 12s;
    }
  }
}
http {${nginxHttp(home)}
  server { listen 127.0.0.1:${port + 1}; location / { return 200; } }
}
`);
  const nginx = await startNginx(path.join(home, 'nginx.conf'), async () => (await fetch(`http://127.0.0.1:${port + 1}/`)).ok);
  try {
    return await publishing(port, Array.from({ length: publishers }, (_, i) => `publisher${i}`), async () => {
      const cost = await costing([nginx.pid], () => pause(seconds * 1000));
      const segments = fewest(filesIn(path.join(home, 'hls'), '.ts'), (file) => file.slice(0, file.lastIndexOf('-')));
      return { cpu: perMinute(cost), rss: residentMb(nginx.pid), segments };
    });
  } finally {
    await nginx.stop();
  }
}

try {
  const results = { ours: [], peer: [] };
  for (let round = 0; round < rounds; ++round) {
    for (const [side, measure] of [['ours', ours], ['peer', peer]]) results[side].push(await measure());
    say(`round ${round + 1} of ${rounds}`);
  }
  const peerName = `${version('/usr/sbin/nginx', '-v').replace('nginx version: ', '')}, libnginx-mod-rtmp ${version('dpkg-query', '-W', '-f', '${Version}', 'libnginx-mod-rtmp')}, hls on`;
  const column = (of) => [results.ours.map(of), results.peer.map(of)];
  // What is kept goes away after 12 s at the peer, after 36 s at ours: each has at least those that its playlist names.
  for (const { segments } of [...results.ours, ...results.peer]) if (segments < 5) throw new Error(`a stream has ${segments} segments on the disk`);
  print([
    row('cpu/ingest-and-packager', 's/min', ...column(({ cpu }) => cpu), peerName),
    row('cpu/with-control-plane-redis-edge', 's/min', results.ours.map(({ cpu, others }) => cpu + others), results.peer.map(({ cpu }) => cpu), peerName),
    row('rss/ingest-and-packager', 'MB', ...column(({ rss }) => rss), peerName),
    row('publishers/until-the-end', 'count', ...column(({ report }) => report.publishers), peerName),
    row('segments/fewest-of-a-stream', 'count', ...column(({ segments }) => segments), peerName),
    row('late/largest-of-a-write', 'ms', ...column(({ report }) => report.late_ms_max), peerName),
  ], process.argv.includes('--json'));
  say(`${machine()}; ${publishers} publishers of ${megabits.toFixed(2)} Mb/s (640x360, ${name}), ${rounds} rounds of ${seconds} s; CPU seconds of a minute of all of them together`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
