// A tus 1.0.0 client that sends as slowly as a test wants, and comes back by itself, as the web application's does.
import http from 'node:http';
import { Hopeless, until } from './instance.mjs';

/** Bytes that a slow sender sends every `dripMs`. */
const dripBytes = 2048;
const dripMs = 200;
/** A server that restarts is back within this, also on a slow machine. */
const backMs = 90_000;
/** Between a PATCH that was cut and the next, as clients do; and so many, then something is wrong. */
const pauseMs = 300;
const brokenMax = 100;

const base64 = (text) => Buffer.from(text).toString('base64');

export class Upload {
  /** @param bytes  the file; it is sent by `piece`, `drip` and `finish`. */
  static async begin(instance, token, name, bytes) {
    const upload = new Upload();
    upload.bytes = bytes;
    upload.headers = { 'Tus-Resumable': '1.0.0', Authorization: `Bearer ${token}` };
    const base = instance.url('/files/');
    const made = await fetch(base, { method: 'POST', headers: { ...upload.headers, 'Upload-Length': String(bytes.length), 'Upload-Metadata': `filename ${base64(`${name}.mp4`)},title ${base64(name)}` } });
    if (made.status !== 201) throw new Error(`POST /files/: ${made.status} ${await made.text()}`);
    upload.url = new URL(made.headers.get('location'), base);
    upload.video = made.headers.get('ribalta-video');
    upload.acknowledged = 0; // what the server said that it has
    upload.broken = 0; // PATCHes that were cut off
    return upload;
  }

  /** One PATCH with `piece`, at `offset`; the answer. */
  patch(offset, piece) {
    return fetch(this.url, { method: 'PATCH', headers: { ...this.headers, 'Upload-Offset': String(offset), 'Content-Type': 'application/offset+octet-stream' }, body: piece });
  }

  /** Sends the next `count` bytes; they are acknowledged when it resolves. */
  async piece(count) {
    const answer = await this.patch(this.acknowledged, this.bytes.subarray(this.acknowledged, this.acknowledged + count));
    if (answer.status !== 204) throw new Error(`PATCH: ${answer.status} ${await answer.text()}`);
    this.acknowledged = Number(answer.headers.get('upload-offset'));
  }

  /** Where the server says that the upload stands, once it answers again. */
  async offset() {
    const head = await until('the upload is known again', async () => {
      const answer = await fetch(this.url, { method: 'HEAD', headers: this.headers });
      if ([401, 403, 404, 410].includes(answer.status)) throw new Hopeless(`HEAD: ${answer.status}`);
      return answer.ok && answer;
    }, backMs);
    return Number(head.headers.get('upload-offset'));
  }

  /** From now on one PATCH drips without end: whatever is killed meets an upload that is under way. Resolves when it flows. */
  async drip() {
    this.hurry = false;
    this.done = this.#send();
    this.done.catch(() => {}); // told by `finish`
    await until('the upload drips', () => this.sent >= this.acknowledged + 5 * dripBytes || this.failure, backMs);
    if (this.failure) throw this.failure;
  }
  /** The port of this client's end of the connection that carries the PATCH now. */
  get port() {
    return this.request?.socket?.localPort;
  }

  /** Sends the rest at once; resolves when all was acknowledged. */
  async finish() {
    this.hurry = true;
    if (this.done) this.wake?.();
    else this.done = this.#send();
    await this.done;
  }

  /** PATCHes until all is acknowledged: after a cut it asks where the server stands and goes on there. */
  async #send() {
    try {
      for (let offset = this.acknowledged; ; offset = await this.offset()) {
        if (offset < this.acknowledged) throw new Error(`${this.acknowledged} bytes were acknowledged, and ${offset} are left`);
        this.acknowledged = offset;
        const { status, text } = await this.#stream(offset);
        if (status === 204) break;
        this.broken += 1;
        const final = [401, 403, 404, 410, 413].includes(status) || this.broken > brokenMax;
        if (final) throw new Error(`PATCH ${this.broken} that did not end well: ${status} ${text}`);
        await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
      this.acknowledged = this.bytes.length;
    } catch (error) {
      this.failure = error;
      throw error;
    }
  }

  /** One PATCH of all from `offset` on, slow or fast. @return its status; 0: the connection was cut. */
  #stream(offset) {
    return new Promise((resolve) => {
      this.sent = offset;
      let timer;
      let over = false;
      const end = (status, text) => {
        if (over) return;
        over = true;
        clearInterval(timer);
        this.wake = undefined;
        request.destroy();
        resolve({ status, text });
      };
      const request = http.request(this.url, {
        method: 'PATCH',
        agent: false, // a connection of its own
        headers: { ...this.headers, 'Upload-Offset': String(offset), 'Content-Type': 'application/offset+octet-stream', 'Content-Length': String(this.bytes.length - offset) },
      });
      this.request = request;
      request.on('error', (error) => end(0, error.message));
      request.on('close', () => end(0, 'closed'));
      request.on('response', (answer) => {
        let text = '';
        answer.on('data', (bytes) => (text += bytes));
        answer.on('end', () => end(answer.statusCode, text));
        answer.on('error', (error) => end(0, error.message));
      });
      const rest = () => {
        clearInterval(timer);
        request.end(this.bytes.subarray(this.sent));
        this.sent = this.bytes.length;
      };
      this.wake = rest;
      if (this.hurry) return rest();
      timer = setInterval(() => {
        const next = Math.min(this.sent + dripBytes, this.bytes.length - 1); // the last byte stays for `finish`
        if (next > this.sent) request.write(this.bytes.subarray(this.sent, next));
        this.sent = next;
      }, dripMs);
    });
  }
}
