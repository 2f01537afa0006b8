// The ladder of an upload: CPU seconds, and of each rung SSIM, bitrate and peak GOP, beside one FFmpeg process with split and
// scale that has the same preset, sizes, mean bitrates, caps and key frames. Five real clips (film, animation, a street, a
// table top, black and white) and phones' portrait clips one after the other; without RIBALTA_TEST_MEDIA a pattern.
// LADDER_FILE names another source, LADDER_ROUNDS how often, LADDER_SECONDS how much of each clip.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { run } from '../e2e/instance.mjs';
import { measured } from './processes.mjs';
import { machine, print, row, version } from './report.mjs';
import { ffmpeg, natural, pattern, program } from './source.mjs';

const rounds = Number(process.env.LADDER_ROUNDS ?? 3);
const seconds = Number(process.env.LADDER_SECONDS ?? 10);
const preset = 'veryfast';
const folder = mkdtempSync(path.join(tmpdir(), 'ribalta-ladder-'));
const say = (text) => process.stderr.write(`${text}\n`);

/** `seconds` of a clip from `from` on, every picture of it coded anew and nearly without loss: both sides read it alike. */
function cut(name, from, filters = []) {
  const source = natural(name);
  if (!source) return null;
  const file = path.join(folder, `${path.parse(name).name}.mp4`);
  ffmpeg('-ss', String(from), '-i', source, '-t', String(seconds), ...(filters.length > 0 ? ['-vf', filters.join(',')] : []), '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '12', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-ar', '48000', '-ac', '2', file);
  return file;
}

/** Two phones' clips, upright, at 1080x1920. */
function portraitMix() {
  const parts = ['changi_portrait_4k_hevc_9s.mp4', 'emulator_rot270_720p_5s.mp4'].map(natural);
  if (parts.includes(null)) return null;
  const file = path.join(folder, 'portrait-mix.mp4');
  const upright = 'scale=1080:1920:force_original_aspect_ratio=increase,crop=1080:1920,setsar=1,fps=30,setpts=PTS-STARTPTS,format=yuv420p';
  const length = seconds / parts.length;
  ffmpeg(...parts.flatMap((part) => ['-t', String(length), '-i', part]), '-filter_complex',
    `${parts.map((_, i) => `[${i}:v]${upright}[v${i}];[${i}:a]aresample=48000,aformat=channel_layouts=stereo[a${i}]`).join(';')};${parts.map((_, i) => `[v${i}][a${i}]`).join('')}concat=n=${parts.length}:v=1:a=1[v][a]`,
    '-map', '[v]', '-map', '[a]', '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '12', '-c:a', 'aac', file);
  return file;
}

function clips() {
  if (process.env.LADDER_FILE) return [['file', process.env.LADDER_FILE]];
  const real = [
    ['film', cut('sintel_trailer_720p24_h264_52s.mp4', 12)],
    ['animation', cut('bbb_720p24_vp8_30s.webm', 5)],
    ['street', cut('cars_768x432_12fps_h264_30s.mp4', 0)],
    ['table-top', cut('bottles_640x360_h264_40s.mp4', 0)],
    ['black-and-white', cut('chaplin_640x360_h264_10s.mp4', 0)],
    ['portrait-mix', portraitMix()],
  ].filter(([, file]) => file);
  if (real.length > 0) return real;
  say('RIBALTA_TEST_MEDIA has no clips: a pattern instead');
  return [['pattern', pattern(path.join(folder, 'pattern.mp4'))]];
}

function ours(source) {
  const target = path.join(folder, 'ours');
  rmSync(target, { recursive: true, force: true });
  const { cpu, out } = measured(program('ribalta-transcode'), ['file', source, target, '--preset', preset, '--crf', '0']);
  const result = JSON.parse(out);
  return { cpu, rungs: result.report.rungs, file: (rung) => path.join(target, 'vod/local/1', `${rung.track}.cmfv`) };
}

/** The same ladder by FFmpeg alone. */
function peer(source, rungs) {
  const target = (rung) => path.join(folder, `peer-${rung.track}.mp4`);
  const split = `[0:v]split=${rungs.length}${rungs.map((_, i) => `[s${i}]`).join('')};`;
  const scales = rungs.map((rung, i) => `[s${i}]scale=${rung.width}:${rung.height}:flags=bicubic[o${i}]`).join(';');
  const gop = String(Math.round(2 * rungs[0].fps));
  const outputs = rungs.flatMap((rung, i) => ['-map', `[o${i}]`, '-c:v', 'libx264', '-preset', preset, '-profile:v', 'high',
    '-b:v', String(rung.bitrate), '-maxrate', String(Math.round(rung.bitrate * 1.2)), '-bufsize', String(Math.round(rung.bitrate * 0.6)),
    '-g', gop, '-keyint_min', gop, '-sc_threshold', '0', '-flags', '+cgop', target(rung)]);
  const sound = ['-map', '0:a?', '-c:a', 'aac', '-b:a', '128k', '-ac', '2', path.join(folder, 'peer-sound.mp4')];
  const { cpu } = measured('ffmpeg', ['-v', 'error', '-nostdin', '-y', '-i', source, '-filter_complex', split + scales, ...outputs, ...sound]);
  return { cpu, file: target };
}

function ssim(source, file, rung) {
  const graph = `[0:v]setpts=PTS-STARTPTS[a];[1:v]setpts=PTS-STARTPTS,scale=${rung.width}:${rung.height}:flags=bicubic[b];[a][b]ssim`;
  const { stderr } = spawnSync('ffmpeg', ['-hide_banner', '-nostdin', '-i', file, '-i', source, '-filter_complex', graph, '-f', 'null', '-'], { encoding: 'utf8' });
  return Number(/All:([0-9.]+)/.exec(stderr)?.[1]);
}

/** kbit/s over all, and of the GOP that has most. */
async function bitrates(file, rung) {
  const { stdout } = await run('ffprobe', ['-v', 'error', '-select_streams', 'v:0', '-show_entries', 'packet=size,flags', '-of', 'csv=p=0', file]);
  const gops = [];
  for (const line of stdout.trim().split('\n')) {
    const [size, flags] = line.split(',');
    if (flags.startsWith('K')) gops.push({ bytes: 0, frames: 0 });
    gops.at(-1).bytes += Number(size);
    gops.at(-1).frames++;
  }
  const rate = ({ bytes, frames }) => (bytes * 8 * rung.fps) / 1000 / frames;
  const whole = gops.reduce((sum, gop) => ({ bytes: sum.bytes + gop.bytes, frames: sum.frames + gop.frames }));
  // A stub of a few frames at the end is hardly more than its key frame: no rate of a second.
  return { mean: rate(whole), peak: Math.max(...gops.filter(({ frames }) => frames >= rung.fps).map(rate)) };
}

try {
  const name = version('ffmpeg', '-version').split(' ').slice(0, 3).join(' ');
  const measuredClips = clips().map(([clip, source]) => ({ clip, source, cpu: { ours: [], peer: [] } }));
  for (let round = 0; round < rounds; ++round) {
    for (const one of measuredClips) {
      const mine = ours(one.source);
      const theirs = peer(one.source, mine.rungs);
      one.cpu.ours.push(mine.cpu);
      one.cpu.peer.push(theirs.cpu);
      if (round > 0) continue;
      // The same bytes each time: looked at once, while they are there.
      one.rows = [];
      for (const rung of mine.rungs) {
        const [a, b] = [await bitrates(mine.file(rung), rung), await bitrates(theirs.file(rung), rung)];
        one.rows.push(row(`ssim/${one.clip}-${rung.track}`, '0..1', [ssim(one.source, mine.file(rung), rung)], [ssim(one.source, theirs.file(rung), rung)], name));
        one.rows.push(row(`bitrate/${one.clip}-${rung.track}`, 'kbit/s', [a.mean], [b.mean], name));
        one.rows.push(row(`peak-gop/${one.clip}-${rung.track}`, 'kbit/s', [a.peak], [b.peak], name));
      }
    }
    say(`round ${round + 1} of ${rounds}`);
  }
  const all = (side) => Array.from({ length: rounds }, (_, i) => measuredClips.reduce((sum, { cpu }) => sum + cpu[side][i], 0));
  print([
    ...(measuredClips.length > 1 ? [row('cpu/all-clips', 's', all('ours'), all('peer'), name)] : []),
    ...measuredClips.map(({ clip, cpu }) => row(`cpu/${clip}`, 's', cpu.ours, cpu.peer, name)),
    ...measuredClips.flatMap(({ rows }) => rows),
  ], process.argv.includes('--json'));
  say(`${machine()}; ${seconds} s of each clip, preset ${preset}, ${rounds} rounds`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
