// Glass to glass: a code of the wall clock in each frame, published with ffmpeg, read back from the picture that Chromium
// shows on the live page; and where that time goes, hop by hop.
import { spawn, spawnSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { Instance, until } from '../e2e/instance.mjs';
import { launch, playing, visit } from '../e2e/browser.mjs';
import { media, multivariant } from '../e2e/hls.mjs';
import { bitsIn, frame, msOf } from './code.mjs';
import { print, quantile, row, version } from './report.mjs';

const [width, height, rate] = [384, 216, 30];
const seconds = Number(process.env.RIBALTA_BENCH_SECONDS ?? 40);
const json = process.argv.includes('--json');

/** ffmpeg fed with coded frames by the wall clock, a key frame every 2 s. */
function publishCode(url) {
  const child = spawn('ffmpeg', ['-nostdin', '-v', 'error', '-f', 'rawvideo', '-pix_fmt', 'yuv420p', '-s', `${width}x${height}`, '-r', String(rate), '-i', 'pipe:0', '-f', 'lavfi', '-i', 'sine=frequency=440:sample_rate=48000',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-tune', 'zerolatency', '-pix_fmt', 'yuv420p', '-g', String(rate * 2), '-b:v', '600k', '-c:a', 'aac', '-b:a', '96k', '-f', 'flv', url], { stdio: ['pipe', 'ignore', 'inherit'] });
  let count = 0;
  const started = Date.now();
  child.stdin.on('error', () => {}); // it was ended below
  const timer = setInterval(() => {
    while (count < ((Date.now() - started) * rate) / 1000) {
      if (child.stdin.writableLength < 4_000_000) child.stdin.write(frame(Date.now(), width, height, count));
      count++;
    }
  }, 5);
  return { stop: () => { clearInterval(timer); child.stdin.destroy(); child.kill('SIGKILL'); } };
}

/** Reads a track of the media bus as the farm does: the age of each chunk when it is there. */
function followBus(instance, stream, ages) {
  const secret = readFileSync(path.join(instance.data, 'secrets/node'), 'utf8').trim();
  const node = '0000000000000000';
  const target = `/tracks/${stream}/src-v?from=live`;
  const now = Date.now();
  const signature = createHmac('sha256', secret).update(`GET\n${target}\n${node}\n${now}`).digest('hex');
  const decoder = spawn('ffmpeg', ['-nostdin', '-v', 'error', '-flags', 'low_delay', '-fflags', 'nobuffer', '-probesize', '50000', '-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'gray', '-s', `${width}x${height}`, 'pipe:1'], { stdio: ['pipe', 'pipe', 'inherit'] });
  decoder.stdin.on('error', () => {});
  let held = Buffer.alloc(0);
  decoder.stdout.on('data', (bytes) => {
    held = Buffer.concat([held, bytes]);
    while (held.length >= width * height) {
      const ms = msOf(bitsIn(held, width, height));
      if (ms) ages.push(Date.now() - ms);
      held = held.subarray(width * height);
    }
  });
  const request = http.get({ socketPath: path.join(instance.data, 'run/packager.sock'), path: target, headers: { 'Ribalta-Node': `${node};${now};${signature}` } }, (answer) => answer.pipe(decoder.stdin));
  request.on('error', () => {});
  return { stop: () => { request.destroy(); decoder.kill('SIGKILL'); } };
}

/** Asks for the playlist as fast as a very impatient player: the age of a segment's newest frame once it can be fetched. */
async function followEdge(playlist, ages, stopped) {
  let last = -1;
  while (!stopped()) {
    const { sequence, segments } = await media(playlist);
    const newest = sequence + segments.length - 1;
    if (newest !== last && last >= 0) {
      const seen = Date.now();
      const segment = segments.at(-1);
      const bytes = Buffer.concat(await Promise.all([segment.map, segment.url].map(async (url) => Buffer.from(await (await fetch(url)).arrayBuffer()))));
      const { stdout } = spawnSync('ffmpeg', ['-nostdin', '-v', 'error', '-i', 'pipe:0', '-f', 'rawvideo', '-pix_fmt', 'gray', '-s', `${width}x${height}`, 'pipe:1'], { input: bytes, maxBuffer: 1 << 28 });
      const ms = msOf(bitsIn(stdout.subarray(stdout.length - width * height), width, height));
      if (ms) ages.push(seen - ms);
    }
    last = newest;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const instance = await Instance.start('bench-latency');
const publisher = publishCode(`${instance.endpoints.rtmp}/${instance.endpoints.stream_key}`);
let browser;
try {
  const live = await until('the live is listed', () => instance.liveNow(), 90_000);
  const { variants } = await multivariant(instance.url(live.hls));
  const bus = [];
  const edge = [];
  const glass = [];
  let stopped = false;
  const follower = followBus(instance, live.stream, bus);
  const edgeDone = followEdge(variants[0].url, edge, () => stopped);
  browser = await launch();
  const page = await visit(browser);
  await page.goto(instance.url(`/l/${live.stream}`));
  await playing(page, 'video');
  await page.evaluate(() => {
    globalThis.samples = [];
    const video = document.querySelector('video');
    const canvas = document.createElement('canvas');
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const read = () => {
      canvas.width = video.videoWidth;
      canvas.height = video.videoHeight;
      context.drawImage(video, 0, 0);
      const { data } = context.getImageData(0, 0, canvas.width, canvas.height / 2);
      const bits = [];
      for (let i = 0; i < 48; i++) {
        const x = Math.floor(((i % 24) + 0.5) * (canvas.width / 24));
        const y = Math.floor((Math.floor(i / 24) + 0.5) * (canvas.height / 4));
        bits.push(data[(y * canvas.width + x) * 4 + 1] > 125 ? 1 : 0);
      }
      globalThis.samples.push([Date.now(), bits]);
      video.requestVideoFrameCallback(read);
    };
    video.requestVideoFrameCallback(read);
  });
  await page.waitForTimeout(seconds * 1000); // the length of the measurement
  for (const [now, bits] of await page.evaluate(() => globalThis.samples)) {
    const ms = msOf(bits);
    if (ms) glass.push(now - ms);
  }
  stopped = true;
  follower.stop();
  await edgeDone;
  if (glass.length < 50 || bus.length < 50 || edge.length < 3) throw new Error(`too few readings: ${glass.length} in Chromium, ${bus.length} on the bus, ${edge.length} at the edge`);
  const plain = (name, value) => row(name, 'ms', [value]);
  const at = (q) => ({ bus: quantile(bus, q), edge: quantile(edge, q), glass: quantile(glass, q) });
  const [p50, p95] = [at(0.5), at(0.95)];
  print([
    plain('p50/glass-to-glass', p50.glass), plain('p95/glass-to-glass', p95.glass),
    plain('p50/hop-encoder-ingest-packager', p50.bus), plain('p95/hop-encoder-ingest-packager', p95.bus),
    plain('p50/hop-segment-edge', p50.edge - p50.bus), plain('p50/hop-player', p50.glass - p50.edge),
  ], json);
  if (!json) console.log(`${glass.length} frames read in ${version('/usr/bin/chromium', '--version')}; ${version('ffmpeg', '-version')}; source ${width}x${height} at ${rate}/s, key frame every 2 s`);
} finally {
  await browser?.close();
  publisher.stop();
  await instance.stop();
}
