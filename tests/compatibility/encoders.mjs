// Encoders, each as people run it, all sending the same flashes and beeps. A start resolves to {stop}.
import { spawn } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { flashClip, flashInputs, flashTimes, skews } from '../e2e/flash.mjs';
import { Hopeless, publish, until } from '../e2e/instance.mjs';
import { Obs } from '../e2e/obs.mjs';

/** What OBS and GStreamer play: longer than any try, so that it never begins again in the middle of one. */
let source;
const sourceFile = () => (source ??= flashClip('/tmp/rb-compatibility.mp4', { size: '640x360', rate: 30, seconds: 400 }));

function gstreamer(sink) {
  return async (url) => {
    const file = await sourceFile();
    const child = spawn('gst-launch-1.0', ['-q', '-e', 'filesrc', `location=${file}`, '!', 'decodebin', 'name=d',
      'd.', '!', 'queue', '!', 'videoconvert', '!', 'clocksync', '!', 'x264enc', 'speed-preset=ultrafast', 'tune=zerolatency', 'key-int-max=60', 'bitrate=800', '!', 'video/x-h264,profile=main', '!',
      'flvmux', 'name=mux', 'streamable=true', '!', sink, `location=${url}`,
      'd.', '!', 'queue', '!', 'audioconvert', '!', 'audioresample', '!', 'audio/x-raw,rate=48000,channels=2', '!', 'clocksync', '!', 'voaacenc', 'bitrate=96000', '!', 'mux.'], { stdio: 'ignore' });
    const exited = new Promise((resolve) => child.on('exit', resolve));
    return {
      stop: async () => {
        child.kill('SIGINT');
        await exited;
      },
    };
  };
}

export const encoders = {
  'OBS 29': async (url, { server, key }) => Obs.start({ server, key, file: await sourceFile(), width: 640, height: 360, fps: 30 }),
  'FFmpeg': async (url) => publish(url, { rate: 30, inputs: flashInputs({ size: '640x360', rate: 30 }) }),
  'GStreamer rtmp2sink': gstreamer('rtmp2sink'),
  'librtmp (rtmpsink)': gstreamer('rtmpsink'),
};

const freePort = () =>
  new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
const listens = (port) => readFileSync('/proc/net/tcp', 'utf8').split('\n').some((line) => line.includes(`:${port.toString(16).toUpperCase().padStart(4, '0')} `) && / 0A /.test(line));

/**
 * How far apart an encoder sends flash and beep by itself, in seconds (positive: sound is late): FFmpeg writes down what it
 * sends, as it came. What we add to this is ours.
 */
export async function ownSkew(start, seconds = 12) {
  const port = await freePort();
  const server = `rtmp://127.0.0.1:${port}/live`;
  const file = `/tmp/rb-own-${port}.flv`;
  const recorder = spawn('ffmpeg', ['-nostdin', '-v', 'error', '-y', '-listen', '1', '-i', `${server}/k`, '-t', String(seconds), '-c', 'copy', file], { stdio: 'ignore' });
  const ended = new Promise((resolve) => recorder.on('exit', resolve));
  let encoder;
  try {
    await until('FFmpeg listens', () => {
      if (recorder.exitCode !== null) throw new Hopeless(`it ended with ${recorder.exitCode}`);
      return listens(port);
    });
    encoder = await start(`${server}/k`, { server, key: 'k' });
    const late = setTimeout(() => recorder.kill('SIGINT'), (seconds + 40) * 1000);
    await ended;
    clearTimeout(late);
    const { video, audio } = await flashTimes(file);
    const [pair] = skews({ video: { own: video }, audio: { own: audio } });
    if (!pair) throw new Error('it sent no flash with a beep');
    return pair.worst;
  } finally {
    recorder.kill('SIGKILL');
    await encoder?.stop();
    rmSync(file, { force: true });
  }
}
