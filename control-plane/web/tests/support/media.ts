/** Small HLS clips made by FFmpeg from its own sources, once a machine: players in page tests play real media. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';

export interface Fixture {
  name: string;
  width: number;
  height: number;
  durationMs: number;
}

interface Recipe extends Fixture {
  source: string;
}

/** Of each media file: segments of 2 s, so that a live playlist can be made of them again and again. */
export const segmentS = 2;
export const segmentCount = 3;
/** The rungs of the broadcast: folders beside each other in `stage/`. */
export const liveRungs = [
  { name: 'v360', width: 640, height: 360, bandwidth: 900_000 },
  { name: 'v180', width: 320, height: 180, bandwidth: 300_000 },
];

const recipes: Recipe[] = [
  { name: 'dunes', width: 360, height: 640, durationMs: 6_000, source: 'gradients=s=360x640:r=24:d=6:c0=0x2b1055:c1=0xff8a3d:c2=0x7597de:c3=0x12081f:nb_colors=4:seed=7:speed=0.02' },
  { name: 'fractal', width: 640, height: 360, durationMs: 6_000, source: 'mandelbrot=s=640x360:r=24:start_scale=0.02:end_scale=0.001,trim=duration=6' },
  { name: 'sea', width: 360, height: 640, durationMs: 6_000, source: 'gradients=s=360x640:r=24:d=6:c0=0x003344:c1=0x00c2a8:c2=0xf6f1c7:c3=0x021018:nb_colors=4:seed=3:speed=0.03' },
  { name: 'square', width: 480, height: 480, durationMs: 6_000, source: 'testsrc2=s=480x480:r=24:d=6' },
];

export const cache = join(process.cwd(), 'node_modules', '.cache', 'media');

export function haveFfmpeg(): boolean {
  try {
    execFileSync('ffmpeg', ['-version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

function encode(folder: string, source: string, scale: string): void {
  mkdirSync(folder, { recursive: true });
  const ffmpeg = (...args: string[]): void => void execFileSync('ffmpeg', ['-v', 'error', '-y', ...args], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] });
  ffmpeg(
    ...['-f', 'lavfi', '-i', source, '-f', 'lavfi', '-i', 'sine=frequency=330:duration=6', '-shortest', '-vf', scale],
    ...['-c:v', 'libx264', '-preset', 'veryfast', '-crf', '30', '-pix_fmt', 'yuv420p', '-g', '48', '-sc_threshold', '0', '-c:a', 'aac', '-b:a', '48k'],
    ...['-f', 'hls', '-hls_time', String(segmentS), '-hls_playlist_type', 'vod', '-hls_segment_type', 'fmp4', '-master_pl_name', 'index.m3u8', 'media.m3u8'],
  );
  ffmpeg('-i', 'media.m3u8', '-ss', '1', '-frames:v', '1', 'poster.jpg');
}

/** `<cache>/<name>/index.m3u8` with fMP4 segments and `poster.jpg` beside it. */
export function makeMedia(): Fixture[] {
  for (const recipe of recipes) {
    const folder = join(cache, recipe.name);
    if (!existsSync(join(folder, 'poster.jpg'))) encode(folder, recipe.source, 'null');
  }
  for (const rung of liveRungs) {
    const folder = join(cache, 'stage', rung.name);
    if (!existsSync(join(folder, 'poster.jpg'))) encode(folder, recipes[1]!.source, `scale=${rung.width}:${rung.height}`);
  }
  return recipes;
}
