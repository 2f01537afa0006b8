// What an operator pays for: CPU seconds for each uploaded minute and each live minute, bytes for each hour watched, memory
// and CPU of an install that nobody uses. A whole instance with its defaults; all of its daemons count. No peer.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Instance, until, run } from '../e2e/instance.mjs';
import { media, multivariant } from '../e2e/hls.mjs';
import { costing, family, residentMb } from './processes.mjs';
import { machine, print, row, version } from './report.mjs';
import { ffmpeg, film, natural, program } from './source.mjs';

const seconds = Number(process.env.UNIT_COSTS_SECONDS ?? 40);
const uploads = Number(process.env.UNIT_COSTS_UPLOADS ?? 2);
const folder = mkdtempSync(path.join(tmpdir(), 'ribalta-unit-costs-'));
const say = (text) => process.stderr.write(`${text}\n`);
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const services = ['redis', 'control', 'packager', 'ingest', 'transcode', 'edge'];

const landscape = film(folder, 30);
const phone = natural('changi_portrait_4k_hevc_9s.mp4');
const duration = async (file) => Number((await run('ffprobe', ['-v', 'error', '-show_entries', 'format=duration', '-of', 'csv=p=0', file])).stdout);

/** As OBS sends it by default: 720p, 2.5 Mb/s, key frames every 2 s. */
function makeLive() {
  const file = path.join(folder, 'live.flv');
  ffmpeg('-stream_loop', '-1', '-i', landscape.file, '-t', '30', '-vf', 'scale=1280:720,fps=30', '-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-g', '60', '-keyint_min', '60', '-sc_threshold', '0',
    '-b:v', '2500k', '-maxrate', '2500k', '-bufsize', '2500k', '-c:a', 'aac', '-b:a', '160k', '-ac', '2', '-f', 'flv', file);
  return file;
}

/** Bytes that each second of a playlist's rendition takes, of all its segments. */
async function bytesPerSecond(playlist) {
  const { segments } = await media(playlist);
  let bytes = 0;
  let time = 0;
  for (const { url, duration: length } of segments) {
    bytes += (await (await fetch(url)).arrayBuffer()).byteLength;
    time += length;
  }
  return bytes / time;
}

const live = makeLive();
const instance = await Instance.start('bench-unit-costs');
const rows = [];
const plain = (name, unit, ...values) => rows.push(row(name, unit, values));
let publisher;
try {
  const pids = Object.fromEntries(services.map((service) => [service, instance.pid(service)]));
  const all = Object.values(pids);
  await pause(10_000); // caches and pools are as they stay
  plain('rss/idle', 'MB', residentMb(...all));
  for (const [service, pid] of Object.entries(pids)) plain(`rss/idle-${service}`, 'MB', residentMb(pid));
  const idle = await costing(all, () => pause(20_000));
  plain('cpu/idle', 's/min', (idle.cpu * 60) / idle.seconds);

  for (const [what, file] of [['720p-film', landscape.file], ...(phone ? [['4k-portrait-phone', phone]] : [])]) {
    const costs = [];
    let done;
    for (let i = 0; i < uploads; ++i) {
      const { cpu } = await costing(all, async () => {
        const { stdout, stderr } = await instance.cli(['upload', '--wait', '--json', file], { timeout: 600_000 });
        done = JSON.parse(stdout.trim().split('\n')[0] || '{}');
        if (done.state !== 'ready') throw new Error(`upload: ${stdout}${stderr}`);
      });
      costs.push((cpu * 60) / (await duration(file)));
      say(`uploaded ${what}`);
    }
    plain(`cpu/uploaded-minute-${what}`, 's/min', ...costs);
    const { variants, audio } = await multivariant(instance.url(done.hls));
    const sound = await bytesPerSecond(audio[0].url);
    for (const { url, RESOLUTION: size } of variants) plain(`bytes/watched-hour-${what}-${size}`, 'MB', ((await bytesPerSecond(url)) + sound) * 3600 / 1e6);
  }

  writeFileSync(path.join(folder, 'keys'), instance.endpoints.stream_key);
  publisher = spawn(program('ribalta-rtmp-load'), ['--port', String(instance.endpoints.ports.rtmp), '--keys', path.join(folder, 'keys'), '--file', live], { stdio: ['ignore', 'ignore', 'inherit'] });
  const broadcast = await until('the live is listed', () => instance.liveNow(), 60_000);
  const { variants } = await multivariant(instance.url(broadcast.hls));
  await until('the farm works', async () => (await Promise.all(variants.map(async ({ url }) => (await media(url)).segments.some(({ gap }) => !gap)))).every(Boolean), 60_000);
  const cost = await costing(all, () => pause(seconds * 1000));
  if (!(await instance.liveNow(broadcast.stream))) throw new Error('the live has ended');
  for (const { url } of variants) if ((await media(url)).segments.at(-1).gap) throw new Error('a rung of the live has gaps: this machine is too slow to say what it costs');
  if (family(pids.transcode).length < 2) throw new Error('the farm does not work');
  plain(`cpu/live-minute-${variants.length}-rungs`, 's/min', (cost.cpu * 60) / cost.seconds);
  plain('rss/one-live', 'MB', residentMb(...all));
  print(rows, process.argv.includes('--json'));
  say(`${machine()}; ${version('ffmpeg', '-version').split(' ').slice(0, 3).join(' ')}, x264 at the defaults; ${landscape.name}; ${uploads} uploads of each; live: 1280x720 at 30/s, rungs ${variants.map(({ RESOLUTION }) => RESOLUTION).join(' ')}, ${seconds} s`);
} finally {
  publisher?.kill('SIGKILL');
  await instance.stop();
  rmSync(folder, { recursive: true, force: true });
}
