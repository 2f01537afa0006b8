// In the page: each player behind the same few calls. What it reports goes into `events`, with the time.
const video = document.querySelector('#video');
const events = [];
const note = (kind, detail = '') => events.push({ kind, detail: String(detail), at: performance.now() });
for (const kind of ['waiting', 'stalled', 'playing', 'seeked']) video.addEventListener(kind, () => note(kind));
video.addEventListener('error', () => note('error', `media element: ${video.error?.code} ${video.error?.message}`));

// When the picture turns white, by the frame's own media time. `after` says how far behind the frame before it is: a frame
// that was dropped in between may have been the one that turned.
const canvas = document.createElement('canvas');
[canvas.width, canvas.height] = [16, 9];
const picture = canvas.getContext('2d', { willReadFrequently: true });
const flashes = [];
let before = { bright: true, mediaTime: 0 };
function onFrame(now, { mediaTime }) {
  picture.drawImage(video, 0, 0, canvas.width, canvas.height);
  const { data } = picture.getImageData(0, 0, canvas.width, canvas.height);
  let sum = 0;
  for (let i = 0; i < data.length; i += 4) sum += data[i + 1];
  const bright = sum / (canvas.width * canvas.height) > 128;
  if (bright && !before.bright) flashes.push({ mediaTime, after: mediaTime - before.mediaTime });
  before = { bright, mediaTime };
  video.requestVideoFrameCallback(onFrame);
}
video.requestVideoFrameCallback(onFrame);
video.crossOrigin = 'anonymous';

const players = {
  'hls.js': async (url) => {
    const player = new Hls({ maxBufferLength: 12, capLevelToPlayerSize: false });
    player.on(Hls.Events.ERROR, (_, data) => note(data.fatal || data.details === 'bufferAppendError' ? 'error' : 'trouble', data.details));
    player.loadSource(url);
    player.attachMedia(video);
    await new Promise((resolve, reject) => {
      player.once(Hls.Events.MANIFEST_PARSED, resolve);
      player.on(Hls.Events.ERROR, (_, data) => data.fatal && reject(new Error(data.details)));
    });
    const order = () => player.levels.map((level, index) => ({ index, height: level.height, bitrate: level.bitrate })).sort((a, b) => a.bitrate - b.bitrate);
    return { rungs: () => order().map(({ height }) => height), choose: (place) => (player.nextLevel = order()[place].index) };
  },
  'Shaka Player': async (url) => {
    shaka.polyfill.installAll();
    const player = new shaka.Player();
    player.addEventListener('error', ({ detail }) => note(detail.severity === 2 ? 'error' : 'trouble', `${detail.code} ${detail.data}`));
    await player.attach(video);
    player.configure({ abr: { enabled: false }, streaming: { bufferingGoal: 12 } });
    await player.load(url);
    const order = () => player.getVariantTracks().sort((a, b) => a.bandwidth - b.bandwidth);
    return { rungs: () => order().map(({ height }) => height), choose: (place) => player.selectVariantTrack(order()[place], true) };
  },
  'dash.js': async (url) => {
    const player = dashjs.MediaPlayer().create();
    player.updateSettings({ streaming: { abr: { autoSwitchBitrate: { video: false } }, buffer: { fastSwitchEnabled: true } } });
    player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => note('error', `${error?.code} ${error?.message ?? error}`));
    player.initialize(video, url, true);
    await new Promise((resolve, reject) => {
      player.on(dashjs.MediaPlayer.events.STREAM_INITIALIZED, resolve);
      player.on(dashjs.MediaPlayer.events.ERROR, ({ error }) => reject(new Error(error?.message ?? error)));
    });
    const order = () => player.getRepresentationsByType('video').sort((a, b) => a.bandwidth - b.bandwidth);
    return { rungs: () => order().map(({ height }) => height), choose: (place) => player.setRepresentationForTypeById('video', order()[place].id, true) };
  },
};

globalThis.start = async (name, url) => {
  const player = await players[name](url);
  globalThis.player = player;
  await video.play().catch((error) => note('error', `play: ${error.message}`));
  return player.rungs();
};
globalThis.look = () => ({
  now: performance.now(),
  time: video.currentTime,
  paused: video.paused,
  width: video.videoWidth,
  height: video.videoHeight,
  sound: video.webkitAudioDecodedByteCount,
  frames: video.getVideoPlaybackQuality().totalVideoFrames,
  dropped: video.getVideoPlaybackQuality().droppedVideoFrames,
  buffered: Array.from({ length: video.buffered.length }, (_, i) => [video.buffered.start(i), video.buffered.end(i)]),
  duration: Number.isFinite(video.duration) ? video.duration : null,
  events: [...events],
  flashes: [...flashes],
});
