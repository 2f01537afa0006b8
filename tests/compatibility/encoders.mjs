// Encoders, each as people run it. `start` resolves to {stop}.
import { spawn } from 'node:child_process';
import { clip, publish } from '../e2e/instance.mjs';
import { Obs } from '../e2e/obs.mjs';

function gstreamer(sink) {
  return async (url) => {
    const child = spawn('gst-launch-1.0', ['-q', '-e', 'videotestsrc', 'is-live=true', 'pattern=ball', '!', 'video/x-raw,width=640,height=360,framerate=30/1', '!',
      'x264enc', 'speed-preset=ultrafast', 'tune=zerolatency', 'key-int-max=60', 'bitrate=800', '!', 'video/x-h264,profile=main', '!', 'flvmux', 'name=mux', 'streamable=true', '!',
      sink, `location=${url}`, 'audiotestsrc', 'is-live=true', 'wave=ticks', '!', 'audio/x-raw,rate=48000', '!', 'voaacenc', 'bitrate=96000', '!', 'mux.'], { stdio: 'ignore' });
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
  'OBS 29': async (url, { server, key }) => Obs.start({ server, key, file: await clip('/tmp/rb-compatibility.mp4', { size: '640x360', rate: 30, seconds: 20 }), width: 640, height: 360, fps: 30 }),
  'FFmpeg': async (url) => publish(url, { size: '640x360', rate: 30 }),
  'GStreamer rtmp2sink': gstreamer('rtmp2sink'),
  'librtmp (rtmpsink)': gstreamer('rtmpsink'),
};
