// Sound and picture together: a source that flashes and beeps at once, and when each comes out of what was fetched.
// Presentation times are read from the decoded media, so an encoder's priming counts as what it is: sound that comes late.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './instance.mjs';

/** White for a tenth of a second in every second, and a tone for as long, from the same instant on. */
export const flashPeriod = 1;
const flashSeconds = 0.1;
const inFlash = `lt(mod(t+0.0005\\,${flashPeriod})\\,${flashSeconds})`;

/** Inputs for ffmpeg: picture (a dark, busy pattern between flashes: about as many bits at any time), then sound. */
export const flashInputs = ({ size = '640x360', rate = 30 } = {}) => [
  '-f', 'lavfi', '-i', `testsrc2=size=${size}:rate=${rate},lutyuv=y=val/3,drawbox=color=white:t=fill:enable='${inFlash}'`,
  '-f', 'lavfi', '-i', `aevalsrc='if(${inFlash}\\,0.8*sin(2*PI*1000*t)\\,0)':sample_rate=48000`,
];

/** A file of it, H.264 and AAC, with a key frame every two seconds. */
export async function flashClip(file, { size, rate = 30, seconds = 20, extra = [] } = {}) {
  const made = await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...flashInputs({ size, rate }), '-t', String(seconds), '-pix_fmt', 'yuv420p',
    '-c:v', 'libx264', '-preset', 'veryfast', '-g', String(2 * rate), '-bf', '2', '-b:v', '1M', '-c:a', 'aac', '-b:a', '128k', ...extra, file]);
  assert.equal(made.code, 0, made.stderr);
  return file;
}

/** Presentation times of the frames that begin a flash, in seconds. */
async function flashes(file) {
  const read = await run('ffmpeg', ['-nostdin', '-v', 'error', '-copyts', '-i', file, '-an', '-vf', 'scale=16:16,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-', '-fps_mode', 'passthrough', '-f', 'null', '-']);
  assert.equal(read.code, 0, read.stderr);
  const out = [];
  let time = 0;
  let bright = true; // a flash that is on when the media begin has no begin here
  for (const line of read.stdout.split('\n')) {
    const at = /pts_time:(\S+)/.exec(line);
    if (at) time = Number(at[1]);
    const level = /YAVG=(\S+)/.exec(line);
    if (!level) continue;
    const now = Number(level[1]) > 128;
    if (now && !bright) out.push(time);
    bright = now;
  }
  return out;
}

/** Presentation times at which a tone begins after silence, in seconds. */
async function beeps(file) {
  const first = await run('ffprobe', ['-v', 'error', '-select_streams', 'a:0', '-show_entries', 'frame=pts_time', '-read_intervals', '%+#4', '-of', 'csv=p=0', file]);
  const begin = Number.parseFloat(first.stdout); // the first packet alone may be an encoder's priming, of which no frame comes
  assert.ok(Number.isFinite(begin), `no sound in ${file}: ${first.stderr}`);
  const rate = 48_000;
  const raw = `${file}.f32`;
  const read = await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', '-copyts', '-i', file, '-vn', '-ac', '1', '-ar', String(rate), '-f', 'f32le', raw]);
  assert.equal(read.code, 0, read.stderr);
  const bytes = readFileSync(raw);
  rmSync(raw);
  const samples = new Float32Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 4));
  const out = [];
  const silence = rate / 5;
  let quiet = 0;
  for (let i = 0; i < samples.length; i++) {
    if (Math.abs(samples[i]) < 0.2) {
      quiet++;
      continue;
    }
    if (quiet >= silence) out.push(begin + i / rate);
    quiet = 0;
  }
  return out;
}

/** When a file with picture and sound flashes and beeps: {video: [seconds], audio: [seconds]}. */
export const flashTimes = async (file) => ({ video: await flashes(file), audio: await beeps(file) });

/**
 * What a player fetched, by track, and when it flashes and beeps in it.
 * @param urls of media segments and init segments, as asked for; a track is a folder (`…/src-v/…`)
 * @returns {video: {track: [seconds]}, audio: {track: [seconds]}}
 */
export async function measure(urls) {
  const folder = mkdtempSync('/tmp/rb-flash-');
  const out = { video: {}, audio: {} };
  try {
    const byTrack = new Map();
    for (const url of new Set(urls)) {
      const found = /\/([^/]+)\/(init[^/]*\.mp4|[^/]+\.m4s)(\?|$)/.exec(url);
      if (!found) continue;
      const [, track, name] = found;
      if (!byTrack.has(track)) byTrack.set(track, { init: undefined, segments: [] });
      if (name.startsWith('init')) byTrack.get(track).init = url;
      else byTrack.get(track).segments.push({ url, order: name.match(/\d+/g).map(Number) });
    }
    for (const [track, { init, segments }] of byTrack) {
      assert.ok(init, `no init segment of ${track} was fetched`);
      if (segments.length === 0) continue;
      segments.sort((a, b) => a.order[0] - b.order[0] || (a.order[1] ?? 0) - (b.order[1] ?? 0));
      const parts = [];
      for (const url of [init, ...segments.map((segment) => segment.url)]) {
        const answer = await fetch(url);
        assert.ok(answer.ok, `${url}: ${answer.status}`);
        parts.push(Buffer.from(await answer.arrayBuffer()));
      }
      const file = path.join(folder, `${track}.mp4`);
      writeFileSync(file, Buffer.concat(parts));
      const { stdout } = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_type', '-of', 'csv=p=0', file]);
      if (stdout.trim().startsWith('video')) out.video[track] = await flashes(file);
      else out.audio[track] = await beeps(file);
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return out;
}

/**
 * Each flash against the beep that belongs to it. Segments of one track need not touch those of another: only flashes that
 * have a beep within half a period are counted.
 * @returns [{video, audio, pairs, worst}] for each pair of tracks; `worst`: seconds, positive when sound is late
 */
export function skews({ video, audio }) {
  const out = [];
  for (const [picture, seen] of Object.entries(video)) {
    for (const [sound, heard] of Object.entries(audio)) {
      const apart = seen.flatMap((flash) => {
        const beep = heard.find((one) => Math.abs(one - flash) < flashPeriod / 2);
        return beep === undefined ? [] : [beep - flash];
      });
      if (apart.length === 0) continue;
      const worst = apart.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a));
      out.push({ video: picture, audio: sound, pairs: apart.length, worst });
    }
  }
  return out;
}
