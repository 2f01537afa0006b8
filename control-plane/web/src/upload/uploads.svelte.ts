/**
 * Uploads, as one list for the whole application: they go on while the person looks at other pages. Bytes travel by tus
 * (its client's chunk is loaded with the first file), then `GET /me/videos/{id}` says how far processing is.
 *
 * An upload survives a reload: its address stays in the browser's storage, and the same file chosen again goes on from the
 * byte that the server has.
 */
import type { Upload as TusUpload, HttpResponse } from 'tus-js-client';
import { ApiError, call, csrfHeaders, type MyVideo } from '../api/client';
import { titleFromFilename } from '../lib/format';
import { forgetUnfinished, unfinished, rememberUnfinished } from './unfinished';
import { Rate } from './rate';

export type UploadState = 'waiting' | 'resuming' | 'uploading' | 'retrying' | 'paused' | 'stopped' | 'processing' | 'ready' | 'failed';

/** Files sent at the same time: two keep a line busy while one of them finishes; more only make all of them slow. */
const atOnceMax = 2;
/** Waits before a broken connection is tried again, in ms: in all about two minutes, longer than a restart takes. */
const retryDelays = [0, 1_000, 2_000, 4_000, 8_000, 15_000, 30_000, 60_000];
const pollMs = 1_000;
/** Processing of a long film is not asked about every second. */
const pollSlowMs = 4_000;
const pollFastCount = 60;

let list = $state<Item[]>([]);
let nextId = 1;

export class Item {
  readonly id = nextId++;
  state = $state<UploadState>('waiting');
  title = $state('');
  sent = $state(0);
  total = $state(0);
  /** Bytes a second; 0 while unknown. */
  speed = $state(0);
  video = $state.raw<MyVideo>();
  videoId = $state<string>();
  error = $state.raw<unknown>();
  /** Set while a title is being typed or was typed before the server knew the video. */
  titleDirty = false;
  private tus: TusUpload | undefined;
  private readonly rate = new Rate();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private polls = 0;

  constructor(
    readonly file: File,
    readonly replaces: string | undefined,
    titleCharsMax: number,
  ) {
    this.title = titleFromFilename(file.name, titleCharsMax);
    this.total = file.size;
  }

  get secondsLeft(): number {
    return this.speed > 0 ? (this.total - this.sent) / this.speed : 0;
  }
  get busy(): boolean {
    return this.state === 'uploading' || this.state === 'resuming' || this.state === 'retrying';
  }
  get fraction(): number {
    return this.total > 0 ? this.sent / this.total : 0;
  }

  async begin(): Promise<void> {
    this.state = 'resuming';
    this.error = undefined;
    let client: typeof import('tus-js-client');
    try {
      client = await import('tus-js-client');
    } catch {
      this.stop(new ApiError(0, 'offline', 'the upload code could not be loaded'));
      return;
    }
    const tus = new client.Upload(this.file, {
      endpoint: '/files/',
      retryDelays,
      metadata: this.metadata(),
      removeFingerprintOnSuccess: true,
      // The same file chosen as another video's replacement is another upload.
      fingerprint: (file) => Promise.resolve(['ribalta', file.name, file.type, file.size, file.lastModified, this.replaces ?? ''].join('|')),
      onBeforeRequest: (request) => {
        for (const [name, value] of Object.entries(csrfHeaders())) request.setHeader(name, value);
      },
      onAfterResponse: (_request, response) => this.heard(response),
      onUploadUrlAvailable: () => this.addressKnown(),
      onProgress: (sent) => this.progress(sent),
      onShouldRetry: (error, _attempt, options) => {
        const status = error.originalResponse?.getStatus() ?? 0;
        const again = (status < 400 || status >= 500 || status === 409 || status === 423) && (options.retryDelays?.length ?? 0) > 0;
        if (again && this.state !== 'paused') this.state = 'retrying';
        return again;
      },
      onSuccess: () => this.arrived(),
      onError: (error) => this.stop(fromTus(error)),
    });
    this.tus = tus;
    const [previous] = await tus.findPreviousUploads().catch(() => []);
    // Cancelled or paused meanwhile.
    if (this.tus !== tus || this.state !== 'resuming') return;
    if (previous) {
      const known = previous.uploadUrl ? unfinished().find((entry) => entry.url === previous.uploadUrl) : undefined;
      if (known) this.videoId = known.video;
      tus.resumeFromPreviousUpload(previous);
    }
    tus.start();
  }

  private metadata(): Record<string, string> {
    const values: Record<string, string> = { filename: this.file.name };
    if (this.file.type) values.filetype = this.file.type;
    if (this.replaces) values.replaces = this.replaces;
    else if (this.title.trim()) values.title = this.title.trim();
    return values;
  }

  private heard(response: HttpResponse): void {
    const video = response.getHeader('Ribalta-Video');
    if (video) this.videoId = video;
  }

  private addressKnown(): void {
    if (this.state === 'paused') return;
    this.state = 'uploading';
    const url = this.tus?.url;
    if (url && this.videoId) rememberUnfinished({ url, video: this.videoId, filename: this.file.name, bytes: this.total });
    if (this.titleDirty) void this.saveTitle();
  }

  private progress(sent: number): void {
    if (this.state === 'retrying' || this.state === 'resuming') this.state = 'uploading';
    this.sent = sent;
    this.speed = this.rate.add(sent, performance.now());
  }

  private arrived(): void {
    if (this.tus?.url) forgetUnfinished(this.tus.url);
    this.sent = this.total;
    this.state = 'processing';
    this.polls = 0;
    advance();
    void this.poll();
  }

  private stop(error: unknown): void {
    this.error = error;
    this.state = 'stopped';
    if (error instanceof ApiError && error.code === 'upload_gone' && this.tus?.url) forgetUnfinished(this.tus.url);
    advance();
  }

  pause(): void {
    this.state = 'paused';
    this.speed = 0;
    this.rate.reset();
    void this.tus?.abort();
    advance();
  }

  /** After a pause or a failure. The server says how much it has. */
  resume(): void {
    this.state = 'waiting';
    advance();
  }

  /** Ends it here and on the server. */
  async cancel(): Promise<void> {
    clearTimeout(this.timer);
    const tus = this.tus;
    this.tus = undefined;
    list = list.filter((item) => item !== this);
    advance();
    if (!tus) return;
    if (tus.url) forgetUnfinished(tus.url);
    await tus.abort(true).catch(() => {
      // The server removes it by itself when it expires.
    });
  }

  async poll(): Promise<void> {
    clearTimeout(this.timer);
    if (!this.videoId || this.state !== 'processing') return;
    try {
      const video = await call('get', '/me/videos/{id}', { path: { id: this.videoId } });
      this.video = video;
      if (!this.titleDirty) this.title = video.title;
      const work = video.work;
      if (work?.state === 'failed') this.state = 'failed';
      else if (!work && video.state === 'ready') this.state = 'ready';
      else if (!work && video.state === 'failed') this.state = 'failed';
    } catch (error) {
      if (error instanceof ApiError && error.code === 'not_found') {
        this.stop(new ApiError(404, 'not_found', error.message));
        return;
      }
      // Everything else passes: the work goes on without us.
    }
    this.polls += 1;
    if (this.state === 'processing') this.timer = setTimeout(() => void this.poll(), this.polls < pollFastCount ? pollMs : pollSlowMs);
  }

  /** Saves the title once the video exists; before that it travels with the upload itself. */
  async saveTitle(): Promise<boolean> {
    const title = this.title.trim();
    if (!this.videoId || !title) return false;
    const video = await call('patch', '/videos/{id}', { path: { id: this.videoId }, body: { title } });
    this.titleDirty = false;
    this.video = video;
    return true;
  }

  async processAgain(): Promise<void> {
    if (!this.videoId) return;
    this.video = await call('post', '/videos/{id}/retry', { path: { id: this.videoId } });
    this.state = 'processing';
    this.polls = 0;
    void this.poll();
  }
}

/** The server's refusals are the API's errors; a broken line is `offline`. */
function fromTus(error: Error): ApiError {
  const response = (error as { originalResponse?: HttpResponse | null }).originalResponse;
  if (!response) return new ApiError(0, 'offline', error.message);
  const status = response.getStatus();
  try {
    const body = JSON.parse(response.getBody()) as { error?: { code?: string; message?: string } };
    if (body.error?.code) return new ApiError(status, body.error.code, body.error.message ?? '');
  } catch {
    // Not the API's words: the status has to do.
  }
  if (status === 404 || status === 410) return new ApiError(status, 'upload_gone', error.message);
  if (status === 413) return new ApiError(status, 'too_large', error.message);
  if (status >= 500) return new ApiError(status, 'unavailable', error.message);
  return new ApiError(status, 'bad_answer', error.message);
}

/** Starts what waits while there is room. */
function advance(): void {
  const room = atOnceMax - list.filter((item) => item.busy).length;
  for (const item of list.filter((one) => one.state === 'waiting').slice(0, Math.max(0, room))) void item.begin();
}

export const uploads = {
  get list(): Item[] {
    return list;
  },
  /** Files whose bytes are not all on the server. */
  get underWay(): number {
    return list.filter((item) => item.busy || item.state === 'waiting' || item.state === 'paused').length;
  },
  add(file: File, titleCharsMax: number, replaces?: string): Item {
    const item = new Item(file, replaces, titleCharsMax);
    list = [item, ...list];
    advance();
    return list[0]!;
  },
  remove(item: Item): void {
    list = list.filter((one) => one !== item);
  },
  clear(): void {
    for (const item of list) if (item.busy) item.pause();
    list = [];
  },
};

/** Leaving while bytes travel would stop them: the browser asks first. */
addEventListener('beforeunload', (event) => {
  if (list.some((item) => item.busy)) event.preventDefault();
});
