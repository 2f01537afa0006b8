// A live MPD that is not ours: what a player can't do with it either is no fault of ours.
import { spawn } from 'node:child_process';
import { createReadStream, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { until } from '../e2e/instance.mjs';

/** FFmpeg's dash muxer, live for long enough that its first segments are gone. @returns {url, stop()} */
export async function ffmpegLive() {
  const folder = mkdtempSync(path.join(tmpdir(), 'rb-reference-'));
  const child = spawn('ffmpeg', ['-nostdin', '-loglevel', 'error', '-re', '-f', 'lavfi', '-i', 'testsrc2=size=640x360:rate=30', '-f', 'lavfi', '-i', 'sine=sample_rate=48000',
    '-c:v', 'libx264', '-preset', 'ultrafast', '-g', '60', '-pix_fmt', 'yuv420p', '-c:a', 'aac', '-f', 'dash', '-use_timeline', '1', '-use_template', '1', '-window_size', '4', '-seg_duration', '2',
    path.join(folder, 'live.mpd')], { stdio: 'ignore' });
  const server = createServer((request, response) => {
    const file = path.join(folder, path.basename(new URL(request.url, 'http://x').pathname));
    if (!existsSync(file)) return void response.writeHead(404).end();
    response.writeHead(200, { 'Content-Type': file.endsWith('.mpd') ? 'application/dash+xml' : 'video/mp4' });
    createReadStream(file).on('error', () => response.destroy()).pipe(response); // FFmpeg removes what is old
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const live = {
    url: `http://127.0.0.1:${server.address().port}/live.mpd`,
    stop() {
      child.kill('SIGKILL');
      server.closeAllConnections();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  const manifest = path.join(folder, 'live.mpd');
  try {
    await until('the reference has moved on', () => existsSync(manifest) && /startNumber="[4-9]"/.test(readFileSync(manifest, 'utf8')), 60_000);
  } catch (error) {
    live.stop();
    throw error;
  }
  return live;
}
