// What benches are fed with: real clips of RIBALTA_TEST_MEDIA where it is there, else patterns that ffmpeg makes, which are
// the same on every machine but easier (or noisier) than what cameras see.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import path from 'node:path';
import { root } from '../e2e/instance.mjs';

const media = process.env.RIBALTA_TEST_MEDIA;

/** A built program of ours: what operators get, or, where a test asks whether benches work at all, another build. */
export function program(name) {
  const file = path.join(root, 'build', process.env.RIBALTA_BENCH_BUILD ?? 'release', 'bin', name);
  if (!existsSync(file)) throw new Error(`${file} is not built; scripts/bench builds it`);
  return file;
}

export function ffmpeg(...args) {
  execFileSync('ffmpeg', ['-v', 'error', '-nostdin', '-y', ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
}

/** A clip of the media folder's `natural`, or null. */
export function natural(name) {
  const file = media && path.join(media, 'natural', name);
  return file && existsSync(file) ? file : null;
}

/** 12 s of 1280x720 at 30/s: a pattern, a fractal, noise. */
export function pattern(file) {
  const parts = ['testsrc2=s=1280x720:r=30:d=4', 'mandelbrot=s=1280x720:r=30,trim=duration=4', 'testsrc2=s=1280x720:r=30:d=4,noise=alls=30:allf=t'];
  const inputs = parts.flatMap((part) => ['-f', 'lavfi', '-i', part]);
  ffmpeg(...inputs, '-f', 'lavfi', '-i', 'sine=440:d=12', '-filter_complex',
    '[0]format=yuv420p[a];[1]format=yuv420p[b];[2]format=yuv420p[c];[a][b][c]concat=n=3[v]', '-map', '[v]', '-map', '3:a',
    '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '16', '-c:a', 'aac', file);
  return file;
}

/** A film of 720p with sound: `seconds` of the Sintel trailer (at most 50), or the pattern. */
export function film(folder, seconds) {
  const trailer = natural('sintel_trailer_720p24_h264_52s.mp4');
  if (!trailer) return { name: 'a pattern of 12 s', file: pattern(path.join(folder, 'film.mp4')), seconds: 12 };
  const file = path.join(folder, 'film.mp4');
  ffmpeg('-i', trailer, '-t', String(seconds), '-c', 'copy', file);
  return { name: `${seconds} s of the Sintel trailer`, file, seconds };
}
