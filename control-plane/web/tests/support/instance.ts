/**
 * A stand-in for an instance: serves the built pages the way nginx does (unknown paths get index.html), answers the API
 * from values that a test sets, plays the media of media.ts, and takes tus uploads. Only tests use it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { extname, join, normalize } from 'node:path';
import type { AddressInfo } from 'node:net';
import type { components } from '../../src/api/schema';
import { cache } from './media';
import { FakeBroadcast } from './broadcast';

type Schemas = components['schemas'];

export const csrf = 'csrf-of-this-session';
export const lucia: Schemas['User'] = { id: '0123456789abcdef', name: 'lucia', created: '2026-03-02T10:00:00.000Z', admin: false, creator: true, suspended: false };

/** The n-th id: valid in the API's alphabet. */
export function id(n: number): string {
  return [...n.toString(32)].map((digit) => '0123456789abcdefghjkmnpqrstvwxyz'[parseInt(digit, 32)]).join('').padStart(16, '0');
}

interface FakeUpload {
  video: string;
  length: number;
  offset: number;
  metadata: Record<string, string>;
  /** Only the newest request of an upload may write: what an older one still has in its buffers is dropped. */
  writer?: IncomingMessage;
}

export class FakeInstance {
  instance: Schemas['Instance'] = {
    name: 'Teatro Verdi',
    version: '0.1.0',
    registration: 'open',
    setup_needed: false,
    locale: 'en',
    features: { live: true, uploads: true },
    limits: {
      upload_bytes_max: 4_294_967_296,
      user_bytes_max: 107_374_182_400,
      drafts_max: 10,
      title_chars_max: 200,
      duration_ms_max: 3_600_000,
      name_chars_min: 3,
      name_chars_max: 24,
      password_chars_min: 8,
      password_chars_max: 256,
    },
  };
  user: Schemas['User'] | null = null;
  videos: Schemas['Video'][] = [];
  mine: Schemas['MyVideo'][] = [];
  lives: Schemas['Live'][] = [];
  myLive: Schemas['MyLive'] = { live: null, title: 'An evening at the theatre', warnings: [], rungs: [], rtmp: 'rtmp://127.0.0.1:1935/live', live_allowed: true };
  key: Schemas['StreamKey'] = { key: 'rk_7m3k0vq2c9x4t8ja7m3k0vq2c9x4t8ja', rtmp: 'rtmp://127.0.0.1:1935/live', created: '2026-11-20T10:00:00.000Z' };
  /** Answers that go before everything else: `GET /feed` → status and code. */
  failures = new Map<string, { status: number; code: string; message?: string }>();
  /** What was asked, in order: `GET /feed`. */
  calls: string[] = [];
  bodies: { call: string; body: unknown }[] = [];
  /** CSRF refusals given: calls that changed something without the session's token. */
  csrfRefusals = 0;
  /** Bytes a second that an upload is read with; 0: as fast as they come. */
  uploadRate = 0;
  /** The tus uploads: bytes stored of each. */
  uploads = new Map<string, FakeUpload>();
  /** What becomes of an upload whose last byte has come. */
  onUploaded: (video: Schemas['MyVideo']) => void = (video) => {
    video.state = 'processing';
    video.work = { state: 'processing', stage: 'queued', progress: 0, attempt: 0, filename: 'clip.mp4', bytes: 1 };
  };
  /** What `/live/stage/…` plays. */
  broadcast = new FakeBroadcast();
  private server = createServer((request, response) => void this.handle(request, response).catch(() => response.destroy()));
  private nextVideo = 900;

  async start(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }
  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise<void>((resolve) => this.server.close(() => resolve()));
  }

  private async handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://site');
    if (url.pathname.startsWith('/api/v1/')) return this.api(request, response, url);
    if (url.pathname.startsWith('/files/')) return this.tus(request, response, url);
    if (url.pathname.startsWith('/v/') || url.pathname.startsWith('/live/')) return this.media(response, url);
    const dist = join(process.cwd(), 'dist');
    const file = normalize(join(dist, url.pathname));
    const found = file.startsWith(dist) && existsSync(file) && statSync(file).isFile();
    this.file(response, found ? file : join(dist, 'index.html'));
  }

  private file(response: ServerResponse, path: string): void {
    if (!existsSync(path)) return json(response, 404, { error: { code: 'not_found', message: 'no such file' } });
    response.writeHead(200, { 'Content-Type': types[extname(path)] ?? 'application/octet-stream' });
    response.end(readFileSync(path));
  }

  /** `/v/{name}/…` and `/live/{name}/…`: the name of a fixture. */
  private media(response: ServerResponse, url: URL): void {
    const [, , name = '', ...rest] = url.pathname.split('/');
    const failure = this.failures.get(`MEDIA ${name}`);
    if (failure) return json(response, failure.status, { error: { code: failure.code, message: '' } });
    const playlist = url.pathname.startsWith('/live/stage/') ? this.broadcast.playlist(rest) : undefined;
    if (playlist === undefined) return this.file(response, join(cache, name, rest.join('/')));
    response.writeHead(200, { 'Content-Type': 'application/vnd.apple.mpegurl', 'Cache-Control': 'no-store' });
    response.end(playlist);
  }

  private async api(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const path = url.pathname.slice('/api/v1'.length);
    const call = `${request.method} ${path}`;
    this.calls.push(call);
    const body = await readJson(request);
    if (body !== undefined) this.bodies.push({ call, body });
    const failure = this.failures.get(call);
    if (failure) return json(response, failure.status, { error: { code: failure.code, message: failure.message ?? failure.code } });
    if (request.method !== 'GET' && this.user && request.headers['x-csrf-token'] !== csrf) {
      this.csrfRefusals += 1;
      return json(response, 403, { error: { code: 'csrf', message: 'wrong token' } });
    }
    const answer = this.answer(call, path, body as Record<string, never>, url.searchParams);
    if (answer === undefined) return json(response, 404, { error: { code: 'not_found', message: 'There is no such thing.' } });
    if (answer === 204) {
      response.writeHead(204);
      response.end();
      return;
    }
    json(response, 200, answer);
  }

  private session(): Schemas['Session'] {
    return { user: this.user, csrf: this.user ? csrf : null };
  }

  private answer(call: string, path: string, body: Record<string, string>, query: URLSearchParams): unknown {
    const last = path.split('/').at(-1) ?? '';
    switch (call) {
      case 'GET /instance': return this.instance;
      case 'GET /session': return this.session();
      case 'POST /session':
      case 'POST /users':
      case 'POST /setup':
        this.user = { ...lucia, name: body.name ?? lucia.name, admin: call === 'POST /setup' };
        if (call === 'POST /setup') this.instance.setup_needed = false;
        return this.session();
      case 'DELETE /session':
        this.user = null;
        return 204;
      case 'PUT /me/password': return this.session();
      case 'POST /me/remove':
        this.user = null;
        return 204;
      case 'GET /feed': {
        const from = Number(query.get('cursor') ?? 0);
        const limit = Number(query.get('limit') ?? 10);
        return { items: this.videos.slice(from, from + limit), ...(from + limit < this.videos.length ? { next: String(from + limit) } : {}) };
      }
      case 'GET /lives': return { items: this.lives };
      case 'GET /me/videos': return { items: this.mine, bytes_used: 3_221_225_472, bytes_max: this.instance.limits.user_bytes_max };
      case 'GET /me/live': return this.myLive;
      case 'PATCH /me/live':
        this.myLive = { ...this.myLive, title: body.title ?? '' };
        return this.myLive;
      case 'POST /me/live/end':
        this.myLive = { ...this.myLive, live: null };
        return 204;
      case 'GET /me/stream-key': return this.key;
      case 'POST /me/stream-key/rotate':
        this.key = { ...this.key, key: 'rk_00000000000000000000000000000new' };
        return this.key;
    }
    if (call.startsWith('GET /videos/')) return this.videos.find((video) => video.id === last);
    if (call.startsWith('GET /lives/')) return this.lives.find((live) => live.stream === last);
    if (call.startsWith('GET /users/')) return this.profile(last);
    if (call.startsWith('DELETE /lives/')) {
      this.lives = this.lives.filter((live) => live.stream !== last);
      return 204;
    }
    const mine = this.mine.find((video) => path.includes(video.id));
    if (!mine) return undefined;
    if (call.startsWith('PATCH /videos/')) return Object.assign(mine, body);
    if (call.startsWith('DELETE /videos/')) {
      this.mine = this.mine.filter((video) => video !== mine);
      return 204;
    }
    if (last === 'retry') {
      mine.state = 'processing';
      mine.work = { state: 'processing', stage: 'queued', progress: 0, attempt: 0, filename: mine.work?.filename ?? '', bytes: mine.work?.bytes ?? 0 };
    }
    return mine;
  }

  private profile(name: string): Schemas['Profile'] | undefined {
    const items = this.videos.filter((video) => video.author.name === name);
    const live = this.lives.find((one) => one.author.name === name);
    const user = items[0]?.author ?? live?.author ?? (this.user?.name === name ? this.user : undefined);
    return user && { user: { id: user.id, name: user.name }, created: '2026-03-02T10:00:00.000Z', items, ...(live ? { live } : {}) };
  }

  /** tus 1.0: creation, HEAD, PATCH, termination. */
  private async tus(request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> {
    const key = url.pathname.split('/')[2] ?? '';
    this.calls.push(`${request.method} /files/${key ? '{id}' : ''}`);
    response.setHeader('Tus-Resumable', '1.0.0');
    if (request.headers['x-csrf-token'] !== csrf) {
      this.csrfRefusals += 1;
      return json(response, 403, { error: { code: 'csrf', message: 'wrong token' } });
    }
    const failure = this.failures.get(`${request.method} /files/`);
    if (failure) return json(response, failure.status, { error: { code: failure.code, message: failure.message ?? failure.code } });
    if (request.method === 'POST') return this.create(request, response);
    const upload = this.uploads.get(key);
    if (!upload) return json(response, 404, { error: { code: 'not_found', message: 'no such upload' } });
    upload.writer = request;
    if (request.method === 'PATCH') await this.patch(request, upload);
    if (request.method === 'DELETE') {
      this.uploads.delete(key);
      this.mine = this.mine.filter((video) => video.id !== upload.video);
    }
    response.writeHead(request.method === 'HEAD' ? 200 : 204, { 'Upload-Offset': upload.offset, 'Upload-Length': upload.length, 'Cache-Control': 'no-store' });
    response.end();
  }

  private create(request: IncomingMessage, response: ServerResponse): void {
    const metadata = Object.fromEntries(
      String(request.headers['upload-metadata'] ?? '').split(',').filter(Boolean).map((pair) => {
        const [name = '', value = ''] = pair.trim().split(' ');
        return [name, Buffer.from(value, 'base64').toString('utf8')];
      }),
    );
    const key = `upload${this.uploads.size + 1}`;
    const video = metadata.replaces ?? id(this.nextVideo++);
    const length = Number(request.headers['upload-length']);
    this.uploads.set(key, { video, length, offset: 0, metadata });
    const work: Schemas['Work'] = { state: 'draft', progress: 0, attempt: 0, filename: metadata.filename ?? '', bytes: length };
    const known = this.mine.find((one) => one.id === video);
    if (known) known.work = work;
    else this.mine = [{ id: video, title: metadata.title ?? metadata.filename ?? '', visibility: 'public', created: new Date().toISOString(), state: 'draft', work }, ...this.mine];
    response.writeHead(201, { Location: `/files/${key}`, 'Ribalta-Video': video });
    response.end();
  }

  private async patch(request: IncomingMessage, upload: FakeUpload): Promise<void> {
    try {
      for await (const chunk of request) {
        if (upload.writer !== request) return;
        upload.offset += (chunk as Buffer).length;
        if (this.uploadRate > 0) await new Promise((resolve) => setTimeout(resolve, ((chunk as Buffer).length * 1000) / this.uploadRate));
      }
    } catch {
      return; // The client went away: what came stays.
    }
    const video = this.mine.find((one) => one.id === upload.video);
    if (upload.offset >= upload.length && video) this.onUploaded(video);
  }
}

const types: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.css': 'text/css',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.woff2': 'font/woff2',
  '.webmanifest': 'application/manifest+json',
  '.m3u8': 'application/vnd.apple.mpegurl',
  '.m4s': 'video/iso.segment',
  '.mp4': 'video/mp4',
};

function json(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString('utf8');
  return text ? JSON.parse(text) : undefined;
}
