// Encoders, each as people run it, all sending the same flashes and beeps. A start resolves to {stop}.
import { spawn } from 'node:child_process';
import { flashClip, flashInputs } from '../e2e/flash.mjs';
import { publish } from '../e2e/instance.mjs';
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
