// The ladder of one upload: CPU seconds and SSIM of each rung, beside one FFmpeg process with split and scale that has the
// same preset, sizes, mean bitrates, caps and key frames. LADDER_FILE names another source, LADDER_ROUNDS how often.
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { print, row, version } from './report.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const program = process.env.RIBALTA_TRANSCODE ?? join(root, 'build/release/bin/ribalta-transcode');
const rounds = Number(process.env.LADDER_ROUNDS ?? 3);
const preset = 'veryfast';
const folder = mkdtempSync(join(tmpdir(), 'ribalta-ladder-'));

/// CPU seconds (user and system) of a command and its children, and what it printed.
function measured(command, args) {
  const script = 'TIMEFORMAT="%U %S"; { time "$@" 1>"$OUT" 2>"$ERR"; } 2>"$TIMES"';
  const files = { OUT: join(folder, 'out'), ERR: join(folder, 'err'), TIMES: join(folder, 'times') };
  const { status } = spawnSync('bash', ['-c', script, 'bash', command, ...args], { env: { ...process.env, LC_ALL: 'C', ...files } });
  if (status !== 0) throw new Error(`${command} failed: ${readFileSync(files.ERR, 'utf8')}`);
  const [user, system] = readFileSync(files.TIMES, 'utf8').trim().split(/\s+/).map(Number);
  return { cpu: user + system, out: readFileSync(files.OUT, 'utf8') };
}

function make_source() {
  const file = join(folder, 'source.mp4');
  const parts = ['testsrc2=s=1280x720:r=30:d=4', 'mandelbrot=s=1280x720:r=30,trim=duration=4', 'testsrc2=s=1280x720:r=30:d=4,noise=alls=30:allf=t'];
  const inputs = parts.flatMap((part) => ['-f', 'lavfi', '-i', part]);
  execFileSync('ffmpeg', ['-v', 'error', '-y', ...inputs, '-f', 'lavfi', '-i', 'sine=440:d=12', '-filter_complex',
    '[0]format=yuv420p[a];[1]format=yuv420p[b];[2]format=yuv420p[c];[a][b][c]concat=n=3[v]', '-map', '[v]', '-map', '3:a',
    '-c:v', 'libx264', '-preset', 'veryfast', '-crf', '16', '-c:a', 'aac', file]);
  return file;
}

function ours(source) {
  const target = join(folder, 'ours');
  rmSync(target, { recursive: true, force: true });
  const { cpu, out } = measured(program, ['file', source, target, '--preset', preset, '--crf', '0']);
  const result = JSON.parse(out);
  return { cpu, rungs: result.report.rungs, file: (rung) => join(target, 'vod/local/1', `${rung.track}.cmfv`) };
}

/// The same ladder by FFmpeg alone.
function peer(source, rungs) {
  const target = (rung) => join(folder, `peer-${rung.track}.mp4`);
  const split = `[0:v]split=${rungs.length}${rungs.map((_, i) => `[s${i}]`).join('')};`;
  const scales = rungs.map((rung, i) => `[s${i}]scale=${rung.width}:${rung.height}:flags=bicubic[o${i}]`).join(';');
  const outputs = rungs.flatMap((rung, i) => ['-map', `[o${i}]`, '-c:v', 'libx264', '-preset', preset, '-profile:v', 'high',
    '-b:v', String(rung.bitrate), '-maxrate', String(Math.round(rung.bitrate * 1.2)), '-bufsize', String(Math.round(rung.bitrate * 0.6)),
    '-g', '60', '-keyint_min', '60', '-sc_threshold', '0', '-flags', '+cgop', target(rung)]);
  const sound = ['-map', '0:a?', '-c:a', 'aac', '-b:a', '128k', '-ac', '2', join(folder, 'peer-sound.mp4')];
  const { cpu } = measured('ffmpeg', ['-v', 'error', '-nostdin', '-y', '-i', source, '-filter_complex', split + scales, ...outputs, ...sound]);
  return { cpu, file: target };
}

function ssim(source, file, rung) {
  const graph = `[0:v]setpts=PTS-STARTPTS[a];[1:v]setpts=PTS-STARTPTS,scale=${rung.width}:${rung.height}:flags=bicubic[b];[a][b]ssim`;
  const { stderr } = spawnSync('ffmpeg', ['-hide_banner', '-nostdin', '-i', file, '-i', source, '-filter_complex', graph, '-f', 'null', '-'], { encoding: 'utf8' });
  return Number(/All:([0-9.]+)/.exec(stderr)?.[1]);
}

function kilobits(file, rung) {
  const out = execFileSync('ffprobe', ['-v', 'error', '-select_streams', 'v:0', '-show_entries', 'packet=size,duration_time', '-of', 'csv=p=0', file], { encoding: 'utf8', maxBuffer: 1 << 26 });
  let bytes = 0;
  let seconds = 0;
  for (const line of out.trim().split('\n')) {
    const [duration, size] = line.split(',').map(Number);
    bytes += size;
    seconds += duration || 1 / rung.fps;  // a last packet may have none
  }
  return (bytes * 8) / 1000 / seconds;
}

if (!existsSync(program)) throw new Error(`${program} is not built`);
try {
  const source = process.env.LADDER_FILE ?? make_source();
  const name = version('ffmpeg', '-version').split(' ').slice(0, 3).join(' ');
  const cpu = { ours: [], peer: [] };
  let mine;
  let theirs;
  for (let round = 0; round < rounds; ++round) {
    mine = ours(source);
    theirs = peer(source, mine.rungs);
    cpu.ours.push(mine.cpu);
    cpu.peer.push(theirs.cpu);
  }
  const rows = [row('cpu/ladder', 's', cpu.ours, cpu.peer, name)];
  for (const rung of mine.rungs) {
    rows.push(row(`ssim/${rung.track}`, '0..1', [ssim(source, mine.file(rung), rung)], [ssim(source, theirs.file(rung), rung)], name));
    rows.push(row(`bitrate/${rung.track}`, 'kbit/s', [kilobits(mine.file(rung), rung)], [kilobits(theirs.file(rung), rung)], name));
  }
  print(rows, process.argv.includes('--json'));
} finally {
  rmSync(folder, { recursive: true, force: true });
}
