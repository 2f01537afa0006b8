// Files as phones, editors and broken uploads make them, made here by ffmpeg from its own sources: each with what must
// become of it. Every picture has a colour in each corner and turns white, and every sound beeps, at each full second.
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { run } from './instance.mjs';

/** Red, green, blue and yellow, from the top left on; white for a tenth of each second. */
const corners = (size, rate, seconds) =>
  `color=red:s=${size}:r=${rate}:d=${seconds},drawbox=x=iw/2:y=0:w=iw/2:h=ih/2:color=lime:t=fill,drawbox=x=0:y=ih/2:w=iw/2:h=ih/2:color=blue:t=fill,` +
  "drawbox=x=iw/2:y=ih/2:w=iw/2:h=ih/2:color=yellow:t=fill,drawbox=color=white:t=fill:enable='lt(mod(t+0.001\\,1)\\,0.1)'";
/** A tone of 1 kHz for the same tenth. */
const beeps = (seconds, rate = 48_000) => `aevalsrc='if(lt(mod(t\\,1)\\,0.1)\\,0.5*sin(2*PI*1000*t)\\,0)':s=${rate}:d=${seconds}`;
/** A bar that moves by 8 pixels from field to field: what is left interlaced has teeth at its edges. */
const bar = (size, seconds) => `${corners(size, 50, seconds)}[p];color=white:s=24x${size.split('x')[1]}:r=50:d=${seconds}[bar];[p][bar]overlay=x='mod(400*t\\,w)'`;

const h264 = ['-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv420p'];
const aac = ['-c:a', 'aac'];
/** From linear light, as a camera would: zscale knows the curves. */
const hdr = (transfer) => `format=gbrp,zscale=pin=bt709:tin=bt709:min=gbr:rin=full:p=bt2020:t=${transfer}:m=bt2020nc:r=tv:npl=203,format=yuv420p10le`;
const x265 = ['-c:v', 'libx265', '-preset', 'ultrafast', '-tag:v', 'hvc1'];
const mastering = 'hdr10=1:repeat-headers=1:master-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):max-cll=1000,400';

const lavfi = (...sources) => sources.flatMap((source) => ['-f', 'lavfi', '-i', source]);
const both = (size, rate, seconds) => lavfi(corners(size, rate, seconds), beeps(seconds));

const upright = ['red', 'green', 'blue', 'yellow'];

/** What other recipes begin from, in this order. */
export const bases = [
  { file: 'base.mp4', args: [...both('320x180', 30, 4), '-vf', 'noise=alls=20:allf=t', '-c:v', 'libx264', '-preset', 'veryfast', '-pix_fmt', 'yuv420p', '-g', '15', '-bf', '2', ...aac] },
  { file: 'faststart.mp4', args: ['-i', 'base.mp4', '-c', 'copy', '-movflags', 'faststart'] },
  { file: 'short.ts', args: [...both('320x180', 30, 2), ...h264, ...aac] },
  { file: 'base.ts', args: ['-i', 'base.mp4', '-c', 'copy'] },
  { file: 'words.srt', text: '1\n00:00:00,500 --> 00:00:02,000\nRibalta\n' },
];

const copy = (...args) => ['-i', 'base.mp4', '-c', 'copy', ...args];

/**
 * file    what it is called
 * args    of ffmpeg, which makes it; or
 * write   makes it from a base
 * ends    `ready`, or the kind of its refusal; several: each of them is right
 * and of what is ready, where it matters:
 *   seconds, size, fps; corners: colours upright; pairs: flashes that have their beep; tone: of the chosen sound, Hz;
 *   silent: it has no sound; combed: looked at line by line
 */
export const recipes = [
  { file: 'base.mp4', ends: 'ready', seconds: 4, size: '320x180', fps: 30, corners: upright, pairs: 3 },

  { file: 'rotated_cw.mp4', args: copy('-metadata:s:v:0', 'rotate=270'), ends: 'ready', seconds: 4, size: '180x320', corners: ['blue', 'red', 'yellow', 'green'], pairs: 3 },
  { file: 'rotated_ccw.mp4', args: copy('-metadata:s:v:0', 'rotate=90'), ends: 'ready', size: '180x320', corners: ['green', 'yellow', 'red', 'blue'], pairs: 3 },
  { file: 'rotated_half.mp4', args: copy('-metadata:s:v:0', 'rotate=180'), ends: 'ready', size: '320x180', corners: ['yellow', 'blue', 'green', 'red'], pairs: 3 },

  { file: 'prores_hq.mov', args: [...both('320x180', 25, 3), '-c:v', 'prores_ks', '-profile:v', '3', '-pix_fmt', 'yuv422p10le', '-c:a', 'pcm_s16le'], ends: 'ready', seconds: 3, fps: 25, corners: upright, pairs: 2 },
  { file: 'prores_4444.mov', args: [...both('320x180', 25, 3), '-c:v', 'prores_ks', '-profile:v', '4', '-pix_fmt', 'yuva444p10le', '-c:a', 'pcm_s16le'], ends: 'ready', seconds: 3, corners: upright, pairs: 2 },
  { file: 'mjpeg_8k.avi', args: [...lavfi(corners('640x480', 25, 3), beeps(3, 8000)), '-c:v', 'mjpeg', '-q:v', '5', '-pix_fmt', 'yuvj420p', '-c:a', 'pcm_u8', '-ar', '8000', '-ac', '1'], ends: 'ready', seconds: 3, size: '320x240', corners: upright, pairs: 2 },

  { file: 'interlaced.mpg', args: [...lavfi(`${bar('320x240', 3)},setsar=4/3,tinterlace=interleave_top`, beeps(3)), '-c:v', 'mpeg2video', '-flags', '+ilme+ildct', '-top', '1', '-b:v', '6M', '-c:a', 'mp2'], ends: 'ready', seconds: 3, fps: 25, size: '426x240', combed: true, pairs: 2 },
  { file: 'interlaced.ts', args: [...lavfi(`${bar('320x240', 3)},tinterlace=interleave_top,fieldorder=tff`, beeps(3)), ...h264, '-flags', '+ilme+ildct', '-x264opts', 'tff=1', ...aac], ends: 'ready', seconds: 3, fps: 25, size: '320x240', combed: true, pairs: 2 },

  { file: 'fps_120.mp4', args: [...both('320x180', 120, 3), ...h264, ...aac], ends: 'ready', seconds: 3, fps: 60, corners: upright, pairs: 2 },
  { file: 'fps_240.mp4', args: [...both('320x180', 240, 3), ...h264, ...aac], ends: 'ready', seconds: 3, fps: 60, corners: upright, pairs: 2 },
  { file: 'one_keyframe.mp4', args: [...both('320x180', 30, 13), ...h264, '-g', '99999', '-keyint_min', '99999', '-sc_threshold', '0', ...aac], ends: 'ready', seconds: 13, pairs: 12 },
  { file: 'vfr.mp4', args: [...lavfi(corners('320x180', 30, 4), beeps(4)), '-vf', "select='not(mod(n,7))+lt(mod(n,30),8)'", '-vsync', 'vfr', ...h264, ...aac], ends: 'ready', seconds: 4, corners: upright, pairs: 3 },

  { file: 'hlg.mp4', args: [...both('320x180', 30, 3), '-vf', hdr('arib-std-b67'), ...x265, '-x265-params', 'log-level=none', ...aac], ends: 'ready', seconds: 3, corners: upright, vivid: true, pairs: 2 },
  { file: 'hdr10.mp4', args: [...both('320x180', 30, 3), '-vf', hdr('smpte2084'), ...x265, '-x265-params', `log-level=none:${mastering}`, ...aac], ends: 'ready', seconds: 3, corners: upright, vivid: true, pairs: 2 },
  { file: 'yuv422_10.mp4', args: [...both('320x180', 30, 2), '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv422p10le', ...aac], ends: 'ready', seconds: 2, corners: upright, pairs: 1 },
  { file: 'yuv444_odd.mp4', args: [...both('321x241', 30, 2), '-c:v', 'libx264', '-preset', 'ultrafast', '-pix_fmt', 'yuv444p', ...aac], ends: 'ready', seconds: 2, size: '320x240', corners: upright, pairs: 1 },

  // The second of three sounds says that it is the default; then the third, which has six channels, does.
  ...[1, 2].map((chosen) => ({
    file: `three_sounds_${chosen}.mkv`,
    args: ['-i', 'base.mp4', ...lavfi('sine=440:d=4', beeps(4)), '-filter_complex', '[2:a]pan=5.1|FL=c0|FR=c0|FC=c0|LFE=c0|BL=c0|BR=c0[s]', '-map', '0:v', '-map', '0:a', '-map', '1:a', '-map', '[s]', '-c:v', 'copy', '-c:a:0', 'copy', '-c:a:1', 'libopus', '-c:a:2', 'ac3',
      '-disposition:a:0', '0', '-disposition:a:1', chosen === 1 ? 'default' : '0', '-disposition:a:2', chosen === 2 ? 'default' : '0'],
    ends: 'ready', seconds: 4, ...(chosen === 1 ? { tone: 440 } : { tone: 1000, pairs: 3 }),
  })),
  { file: 'late_sound.mp4', args: [...lavfi(corners('320x180', 30, 4)), '-itsoffset', '0.7', ...lavfi("aevalsrc='if(lt(mod(t+0.7\\,1)\\,0.1)\\,0.5*sin(2*PI*1000*t)\\,0)':s=48000:d=3.3"), ...h264, ...aac], ends: 'ready', seconds: 4, pairs: 3 },
  { file: 'late_picture.mkv', args: ['-itsoffset', '0.5', ...lavfi(corners('320x180', 30, 3)), ...lavfi("aevalsrc='if(gte(t\\,0.5)*lt(mod(t-0.5\\,1)\\,0.1)\\,0.5*sin(2*PI*1000*t)\\,0)':s=48000:d=3.5"), ...h264, ...aac], ends: 'ready', seconds: 3.5, pairs: 2 },

  { file: 'pts_wrap.ts', args: copy('-bsf:v', 'h264_mp4toannexb', '-muxpreload', '0', '-muxdelay', '0', '-output_ts_offset', '95441.7'), ends: 'ready', seconds: 4, corners: upright, pairs: 3 },
  { file: 'discontinuity.ts', write: (folder) => Buffer.concat(['base.ts', 'short.ts', 'base.ts'].map((part) => readFileSync(path.join(folder, part)))), ends: 'ready', seconds: 10, corners: upright, pairs: 7 },
  { file: 'edit_list.mp4', args: ['-ss', '1.3', '-i', 'base.mp4', '-c', 'copy'], ends: 'ready', seconds: 2.7, corners: upright, pairs: 2 },
  { file: 'negative_cts.mp4', args: copy('-movflags', 'negative_cts_offsets'), ends: 'ready', seconds: 4, corners: upright, pairs: 3 },
  { file: 'subtitles.mp4', args: ['-i', 'base.mp4', '-i', 'words.srt', '-c', 'copy', '-c:s', 'mov_text'], ends: 'ready', seconds: 4, corners: upright, pairs: 3 },

  { file: 'cut_moov_last.mp4', write: (folder) => first(path.join(folder, 'base.mp4'), 0.7), ends: 'truncated' },
  { file: 'cut_moov_first.mp4', write: (folder) => first(path.join(folder, 'faststart.mp4'), 0.7), ends: 'ready', corners: upright, pairs: 1 },
  { file: 'damaged_middle.mp4', write: (folder) => damaged(path.join(folder, 'faststart.mp4')), ends: 'ready', seconds: 4, corners: upright },
  { file: 'noise.mp4', args: copy('-bsf:v', 'noise=amount=200'), ends: ['ready', 'corrupt'] },

  { file: 'bomb.mp4', args: [...lavfi('color=black:s=16384x8192:r=1:d=2'), ...h264], ends: 'limits' },
  { file: 'bomb.ts', args: ['-i', 'bomb.mp4', '-c', 'copy'], ends: 'limits' },
  { file: 'many_sounds.mp4', args: [...lavfi('anullsrc=r=8000:cl=mono'), '-t', '1', ...Array(60).fill(['-map', '0:a']).flat(), ...aac], ends: 'no-video' },
  { file: 'many_tracks.mkv', args: ['-i', 'base.mp4', '-map', '0:v', ...Array(60).fill(['-map', '0:a']).flat(), '-c', 'copy'], ends: 'ready', seconds: 4, pairs: 3 },
  { file: 'too_many_tracks.mp4', args: [...lavfi('anullsrc=r=8000:cl=mono', 'color=red:s=64x64:r=5'), '-t', '1', '-map', '1:v', ...Array(140).fill(['-map', '0:a']).flat(), ...h264, ...aac], ends: 'limits' },
];

/** The first part of a file, as a line that breaks leaves it. */
const first = (file, share) => {
  const bytes = readFileSync(file);
  return bytes.subarray(0, Math.floor(bytes.length * share));
};

/** A fifth of the file, from its middle on, is overwritten. */
function damaged(file) {
  const bytes = readFileSync(file);
  for (let i = Math.floor(bytes.length * 0.5); i < bytes.length * 0.7; i++) bytes[i] = (i * 167 + 13) & 0xff;
  return bytes;
}

/** Makes every file in `folder`, one after the other. */
export async function cook(folder) {
  for (const { file, args, write, text } of [...bases, ...recipes]) {
    if (text) writeFileSync(path.join(folder, file), text);
    if (write) writeFileSync(path.join(folder, file), write(folder));
    if (!args) continue;
    const made = await run('ffmpeg', ['-nostdin', '-v', 'error', '-y', ...args, file], { cwd: folder });
    if (made.code !== 0) throw new Error(`${file}: ffmpeg: ${made.stderr}`);
  }
}

const side = 8; // pictures are looked at so small, each pixel the mean of its place
const soundRate = 8000;
const windowSamples = 40; // 5 ms

/** The name of a colour, if it is one of the strong ones. */
function named([r, g, b]) {
  const most = Math.max(r, g, b);
  const high = (value) => value > 0.6 * most;
  const key = `${high(r) ? 'r' : ''}${high(g) ? 'g' : ''}${high(b) ? 'b' : ''}`;
  return { r: 'red', g: 'green', b: 'blue', rg: 'yellow', rgb: 'white' }[key] ?? key;
}

/** How much colour there is, 0 to 1: a picture of another curve that was only relabelled is pale. */
const saturation = (rgb) => (Math.max(...rgb) - Math.min(...rgb)) / Math.max(1, ...rgb);

/**
 * What a player of `video` and `sound` (ffmpeg's inputs; null: none) sees and hears.
 * @returns {frames, size, begins, corners, pale, flashes, beeps, tone, teeth}; times in seconds
 */
export async function observe(folder, video, sound, combed) {
  const raw = path.join(folder, 'picture.raw');
  const lines = path.join(folder, 'lines.raw');
  const wave = path.join(folder, 'sound.raw');
  const inputs = sound && sound !== video ? ['-i', video, '-i', sound] : ['-i', video];
  const tail = ['-map', '0:v:0', '-vsync', 'passthrough'];
  const args = ['-nostdin', '-hide_banner', '-v', 'info', '-nostats', '-y', '-copyts', ...inputs,
    ...tail, '-vf', `scale=${side}:${side}:flags=area,format=rgb24,showinfo=checksum=0`, '-f', 'rawvideo', raw];
  if (combed) args.push(...tail, '-vf', 'format=gray', '-f', 'rawvideo', lines);
  if (sound) args.push('-map', `${sound === video ? 0 : 1}:a:0`, '-af', `aresample=${soundRate}:async=1:first_pts=0`, '-ac', '1', '-f', 's16le', wave);
  const decoded = await run('ffmpeg', args);
  if (decoded.code !== 0) throw new Error(`${video}: ffmpeg: ${decoded.stderr}`);
  const times = [...decoded.stderr.matchAll(/ pts_time:([-0-9.]+)/g)].map(([, time]) => Number(time));
  const [, size] = decoded.stderr.match(/Stream #.*Video:.* (\d+x\d+)/);
  const out = { frames: times.length, size, begins: times[0], ...seen(readFileSync(raw), times) };
  if (combed) out.teeth = teeth(readFileSync(lines), size);
  return { ...out, ...(sound ? heard(readFileSync(wave)) : { beeps: [], tone: 0 }) };
}

function seen(pixels, times) {
  const at = (frame, x, y) => [...pixels.subarray((frame * side * side + y * side + x) * 3).subarray(0, 3)];
  const near = 1;
  const far = side - 2;
  const flashes = [];
  const names = {};
  let pale = 0;
  let white = true; // what begins with a flash did not turn white
  times.forEach((time, frame) => {
    const places = [at(frame, near, near), at(frame, far, near), at(frame, near, far), at(frame, far, far)];
    const now = places.every((rgb) => Math.min(...rgb) > 100);
    if (now && !white) flashes.push(time);
    white = now;
    if (now) return;
    const key = places.map(named).join();
    names[key] = (names[key] ?? 0) + 1;
    if (places.some((rgb) => saturation(rgb) < 0.7)) pale += 1;
  });
  const [most] = Object.entries(names).sort(([, a], [, b]) => b - a);
  return { corners: most?.[0].split(','), pale, flashes };
}

/** By how much more a line differs from those beside it than from the next but one, over all pictures; 0: not at all. */
function teeth(gray, size) {
  const [width, height] = size.split('x').map(Number);
  let beside = 0;
  let beyond = 0;
  for (let frame = 0; frame + width * height <= gray.length; frame += width * height) {
    for (let y = Math.floor(height * 0.1); y < height * 0.4; y++) {
      for (let x = 0; x < width; x += 2) {
        const here = gray[frame + y * width + x];
        beside += Math.abs(here - gray[frame + (y + 1) * width + x]);
        beyond += Math.abs(here - gray[frame + (y + 2) * width + x]);
      }
    }
  }
  return Math.max(0, beside - beyond) / (gray.length * 0.15);
}

function heard(bytes) {
  const samples = new Int16Array(bytes.buffer, bytes.byteOffset, Math.floor(bytes.length / 2));
  let peak = 0;
  for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
  const beeps = [];
  let loud = true;
  let quietFor = 0;
  let crossings = 0;
  let sounding = 0;
  for (let at = 0; at + windowSamples <= samples.length; at += windowSamples) {
    let most = 0;
    for (let i = at; i < at + windowSamples; i++) most = Math.max(most, Math.abs(samples[i]));
    const now = most > peak / 3 && peak > 500;
    if (now) {
      sounding += windowSamples;
      for (let i = at + 1; i < at + windowSamples; i++) if (samples[i] >= 0 !== samples[i - 1] >= 0) crossings += 1;
    }
    quietFor = now ? 0 : quietFor + windowSamples;
    if (now && !loud) beeps.push(at / soundRate);
    if (now) loud = true;
    else if (quietFor > soundRate / 10) loud = false;
  }
  return { beeps, tone: sounding > 0 ? (crossings / 2 / sounding) * soundRate * (windowSamples / (windowSamples - 1)) : 0, peak };
}
