/**
 * Connects a `<video>` with a playlist: through hls.js where the browser has Media Source Extensions (its chunk is loaded
 * when the first player needs it), natively where it has not (older iPhones).
 */
import type { ErrorData, HlsConfig, default as HlsClass } from 'hls.js';

export type Reason = 'network' | 'media' | 'unsupported';

export interface Options {
  live?: boolean;
  /** Only the beginning, as long as the video is not shown: `fill` fetches on. */
  beginning?: boolean;
  onReady?: (hls: HlsClass | undefined) => void;
  /** Nothing was left to try. */
  onFailed?: (reason: Reason) => void;
}

export interface Playback {
  fill(): void;
  destroy(): void;
}

/** Enough of the next video that it starts at once, little enough not to take bandwidth from this one. */
const beginningS = 3;
const forwardS = 24;
const forwardBytes = 24_000_000;
const backS = 12;
/** A packager or an edge that restarts is back within seconds; after that the page asks the person. */
const networkTriesMax = 6;
const networkPauseMs = 1_200;

/** What was measured by the video before, so that the next one begins with the right rung. */
let bandwidth: number | undefined;

function hasMediaSource(): boolean {
  return 'MediaSource' in window || 'ManagedMediaSource' in window;
}

export function attach(video: HTMLVideoElement, url: string, options: Options): Playback {
  if (!hasMediaSource()) return attachNative(video, url, options);

  let hls: HlsClass | undefined;
  let over = false;
  let filled = !options.beginning;
  import('hls.js').then(
    ({ default: Hls }) => {
      if (over) return;
      if (!Hls.isSupported()) {
        options.onFailed?.('unsupported');
        return;
      }
      hls = new Hls(options.live ? liveConfig() : clipConfig(filled));
      recover(Hls, hls, options);
      hls.loadSource(url);
      hls.attachMedia(video);
      options.onReady?.(hls);
    },
    () => {
      if (!over) options.onFailed?.('network');
    },
  );
  return {
    fill() {
      filled = true;
      if (hls) Object.assign(hls.config, ahead(true));
    },
    destroy() {
      over = true;
      if (hls && Number.isFinite(hls.bandwidthEstimate)) bandwidth = hls.bandwidthEstimate;
      hls?.destroy();
    },
  };
}

function clipConfig(filled: boolean): Partial<HlsConfig> {
  return {
    ...ahead(filled),
    backBufferLength: backS,
    capLevelToPlayerSize: true,
    ...(bandwidth ? { abrEwmaDefaultEstimate: bandwidth } : {}),
  };
}

/** How much is fetched ahead. hls.js takes the larger of the length and what fits in the size, up to the second length. */
function ahead(filled: boolean): Partial<HlsConfig> {
  return filled
    ? { maxBufferLength: forwardS, maxMaxBufferLength: 60, maxBufferSize: forwardBytes }
    : { maxBufferLength: beginningS, maxMaxBufferLength: beginningS, maxBufferSize: 0 };
}

function liveConfig(): Partial<HlsConfig> {
  return {
    lowLatencyMode: true,
    // Segments are 2 s long: three of them are the least that survives one late answer.
    liveSyncDurationCount: 3,
    liveMaxLatencyDurationCount: 10,
    // Speech at 1.06 still sounds natural; a second is made up in about 17 s.
    maxLiveSyncPlaybackRate: 1.06,
    backBufferLength: 30,
    capLevelToPlayerSize: true,
    manifestLoadPolicy: patient(),
    playlistLoadPolicy: patient(),
    ...(bandwidth ? { abrEwmaDefaultEstimate: bandwidth } : {}),
  };
}

/** A live playlist that answers late or with an error comes back when its origin does (a restart takes seconds). */
function patient(): HlsConfig['playlistLoadPolicy'] {
  const retry = { maxNumRetry: 20, retryDelayMs: 500, maxRetryDelayMs: 3_000 };
  return { default: { maxTimeToFirstByteMs: 12_000, maxLoadTimeMs: 20_000, timeoutRetry: retry, errorRetry: retry } };
}

function recover(Hls: typeof HlsClass, hls: HlsClass, options: Options): void {
  let networkTries = 0;
  let mediaTries = 0;
  let timer: ReturnType<typeof setTimeout> | undefined;
  hls.on(Hls.Events.FRAG_BUFFERED, () => {
    networkTries = 0;
  });
  hls.on(Hls.Events.DESTROYING, () => clearTimeout(timer));
  hls.on(Hls.Events.ERROR, (_event, data: ErrorData) => {
    if (!data.fatal) return;
    if (data.type === Hls.ErrorTypes.MEDIA_ERROR && mediaTries < 2) {
      mediaTries += 1;
      if (mediaTries === 2) hls.swapAudioCodec();
      hls.recoverMediaError();
    } else if (data.type === Hls.ErrorTypes.NETWORK_ERROR && networkTries < networkTriesMax && !gone(data, options)) {
      networkTries += 1;
      const again = data.details === Hls.ErrorDetails.MANIFEST_LOAD_ERROR || data.details === Hls.ErrorDetails.MANIFEST_LOAD_TIMEOUT;
      clearTimeout(timer);
      timer = setTimeout(() => (again && hls.url ? hls.loadSource(hls.url) : hls.startLoad()), networkPauseMs * networkTries);
    } else {
      options.onFailed?.(data.type === Hls.ErrorTypes.NETWORK_ERROR ? 'network' : 'media');
    }
  });
}

/** A video that was deleted or made private does not come back; a broadcast's playlist may not be there yet. */
function gone(data: ErrorData, options: Options): boolean {
  const status = data.response?.code ?? 0;
  return !options.live && status >= 400 && status < 500;
}

function attachNative(video: HTMLVideoElement, url: string, options: Options): Playback {
  if (!video.canPlayType('application/vnd.apple.mpegurl')) {
    queueMicrotask(() => options.onFailed?.('unsupported'));
    return { fill() {}, destroy() {} };
  }
  const failed = (): void => options.onFailed?.(video.error?.code === MediaError.MEDIA_ERR_NETWORK ? 'network' : 'media');
  video.addEventListener('error', failed);
  video.preload = options.beginning ? 'metadata' : 'auto';
  video.src = url;
  options.onReady?.(undefined);
  return {
    fill() {
      video.preload = 'auto';
    },
    destroy() {
      video.removeEventListener('error', failed);
      video.removeAttribute('src');
      video.load();
    },
  };
}
