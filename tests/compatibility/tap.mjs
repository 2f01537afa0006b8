// What an encoder sends, beside what becomes of it: a relay on the way to the RTMP door that keeps the bytes. Played back
// to FFmpeg as they came, they tell when the encoder itself flashed and beeped; what players then have otherwise is ours.
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { flashPeriod, flashTimes } from '../e2e/flash.mjs';
import { Hopeless, until } from '../e2e/instance.mjs';

const listening = (server) => new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server.address().port)));
async function freePort() {
  const server = createServer();
  const port = await listening(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
const listens = (port) => readFileSync('/proc/net/tcp', 'utf8').split('\n').some((line) => line.includes(`:${port.toString(16).toUpperCase().padStart(4, '0')} `) && / 0A /.test(line));

export class Tap {
  /** Relays to the RTMP door at `port`. `server`: where the encoder is sent. */
  static async start(port) {
    const tap = new Tap();
    tap.sent = []; // of each connection, the pieces
    tap.relay = createServer((encoder) => {
      const pieces = [];
      tap.sent.push(pieces);
      const door = connect(port, '127.0.0.1');
      encoder.on('data', (piece) => pieces.push(piece));
      encoder.pipe(door).pipe(encoder);
      for (const [one, other] of [[encoder, door], [door, encoder]]) one.on('error', () => other.destroy());
    });
    tap.server = `rtmp://127.0.0.1:${await listening(tap.relay)}/live`;
    return tap;
  }

  stop() {
    this.relay.close();
  }

  /** When the encoder flashed and beeped, by its own clock: {video: [seconds], audio: [seconds]}. After it has stopped. */
  async own(key) {
    const bytes = this.sent.map((pieces) => Buffer.concat(pieces)).reduce((a, b) => (b.length > a.length ? b : a));
    const port = await freePort();
    const file = `/tmp/rb-own-${port}.flv`;
    const recorder = spawn('ffmpeg', ['-nostdin', '-v', 'error', '-y', '-listen', '1', '-i', `rtmp://127.0.0.1:${port}/live/${key}`, '-c', 'copy', file], { stdio: 'ignore' });
    const ended = new Promise((resolve) => recorder.on('exit', resolve));
    const late = setTimeout(() => recorder.kill('SIGINT'), 60_000);
    try {
      await until('FFmpeg listens', () => {
        if (recorder.exitCode !== null) throw new Hopeless(`it ended with ${recorder.exitCode}`);
        return listens(port);
      });
      const socket = connect(port, '127.0.0.1');
      socket.on('error', () => {}); // it closes once it has heard the end
      socket.resume();
      socket.end(bytes);
      await ended;
      return await flashTimes(file);
    } finally {
      clearTimeout(late);
      recorder.kill('SIGKILL');
      rmSync(file, { force: true });
    }
  }
}

const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

/** By itself: how far the encoder sends its beeps from its flashes, in seconds (positive: sound is late). */
export const ownSkew = ({ video, audio }) => median(video.flatMap((flash) => audio.filter((beep) => Math.abs(beep - flash) < flashPeriod / 2).map((beep) => beep - flash)));

/**
 * How far sound has moved against the picture between what was sent and what was fetched: the flash and the beep of one
 * second in both.
 * @returns [{video, audio, moved}] for each pair of tracks; `moved`: the worst, seconds, positive when sound became late
 */
export function moves(fetched, own) {
  const nearest = (list, time) => list.reduce((best, one) => (Math.abs(one - time) < Math.abs(best - time) ? one : best), Infinity);
  const out = [];
  for (const [picture, seen] of Object.entries(fetched.video)) {
    // Where the two clocks begin is no matter, as long as it is one place: within half a period.
    const apart = median(seen.map((flash) => flash - nearest(own.video, flash)));
    for (const [sound, heard] of Object.entries(fetched.audio)) {
      const moved = seen.flatMap((flash) => {
        const beep = nearest(heard, flash);
        const [flash_own, beep_own] = [nearest(own.video, flash - apart), nearest(own.audio, beep - apart)];
        const paired = [beep - flash, flash - apart - flash_own, beep - apart - beep_own].every((time) => Math.abs(time) < flashPeriod / 2);
        return paired ? [beep - flash - (beep_own - flash_own)] : [];
      });
      if (moved.length > 0) out.push({ video: picture, audio: sound, moved: moved.reduce((a, b) => (Math.abs(b) > Math.abs(a) ? b : a)) });
    }
  }
  return out;
}
