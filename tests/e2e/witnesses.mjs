// Who looks on while daemons die: a follower of each track, a page in Chromium, an encoder that comes back.
import { createHash } from 'node:crypto';
import http from 'node:http';
import path from 'node:path';
import { desktop, playing, visit } from './browser.mjs';
import { Hopeless, publish, run } from './instance.mjs';
import { media } from './hls.mjs';

/** A machine with little to spare brings a daemon back and goes on playing within this. */
export const backMs = 120_000;

/** What the packager itself answers, past every cache. */
const fromOrigin = (instance, url) =>
  new Promise((resolve, reject) => {
    const request = http.get({ socketPath: path.join(instance.data, 'run/packager.sock'), path: new URL(url).pathname }, (answer) => {
      const pieces = [];
      answer.on('data', (piece) => pieces.push(piece));
      answer.on('error', reject);
      answer.on('end', () => resolve({ status: answer.statusCode, bytes: Buffer.concat(pieces) }));
    });
    request.setTimeout(10_000, () => request.destroy(new Error('no answer')));
    request.on('error', reject);
  });
const digest = (bytes) => createHash('sha256').update(bytes).digest('hex');

/**
 * Follows one media playlist, fetches each segment once as a player does, asks the origin for one of them again each time
 * (the same name is the same bytes), and keeps what no playlist may do.
 */
export class Follower {
  constructor(instance, playlist) {
    this.instance = instance;
    this.name = path.basename(playlist, '.m3u8');
    this.playlist = playlist;
    this.numbers = new Map(); // media sequence number → {period, url}, as every answer must say it again
    this.fetched = new Set();
    this.digests = new Map(); // of what a name meant first
    this.compared = 0;
    this.complaints = [];
    this.last = { sequence: 0, period: 0 };
    this.stopped = false;
    this.done = this.#follow();
  }
  async #follow() {
    while (!this.stopped) {
      try {
        const now = await media(this.playlist);
        this.#compare(now);
        for (const [i, segment] of now.segments.entries()) {
          const number = now.sequence + i;
          if (segment.gap || this.fetched.has(number)) continue;
          const answer = await fetch(segment.url);
          const bytes = Buffer.from(await answer.arrayBuffer());
          if (!answer.ok || bytes.length === 0) continue; // asked again with the next playlist
          this.fetched.add(number);
          this.digests.set(segment.url, digest(bytes));
        }
        await this.#askAgain(now.segments);
      } catch {
        // a stall, as a player has it: it asks again
      }
      await new Promise((resolve) => setTimeout(resolve, 500)); // how often a player asks
    }
  }
  async #askAgain(segments) {
    const known = segments.filter(({ url, gap }) => !gap && this.digests.has(url));
    if (known.length === 0) return;
    const { url } = known[this.compared % known.length];
    const { status, bytes } = await fromOrigin(this.instance, url);
    if (status !== 200) return; // no longer announced, or a packager that just ends
    this.compared += 1;
    if (digest(bytes) !== this.digests.get(url)) this.complaints.push(`${url} was other bytes before`);
  }
  #compare({ sequence, discontinuitySequence, segments }) {
    if (sequence < this.last.sequence) this.complaints.push(`the media sequence went back from ${this.last.sequence} to ${sequence}`);
    if (discontinuitySequence < this.last.period) this.complaints.push(`the discontinuity sequence went back from ${this.last.period} to ${discontinuitySequence}`);
    this.last = { sequence, period: discontinuitySequence };
    let period = discontinuitySequence;
    for (const [i, { discontinuity, gap, url }] of segments.entries()) {
      if (discontinuity) period += 1;
      const number = sequence + i;
      const before = this.numbers.get(number);
      if (before && before.period !== period) this.complaints.push(`segment ${number} was in period ${before.period}, then in ${period}`);
      if (before?.url && !gap && before.url !== url) this.complaints.push(`segment ${number} was ${before.url}, then ${url}`);
      this.numbers.set(number, { period, url: gap ? before?.url : url });
    }
  }
  get newest() {
    return Math.max(0, ...this.fetched);
  }
  async stop() {
    this.stopped = true;
    await this.done;
  }
}

/** An encoder that comes back by itself, as OBS does. */
export function persistentPublisher(url) {
  let stopped = false;
  let current;
  const running = (async () => {
    while (!stopped) {
      current = publish(url, { size: '640x360', seconds: 86_400 }); // large enough for a rung below it
      await current.exited;
      if (!stopped) await new Promise((resolve) => setTimeout(resolve, 1000)); // how long encoders wait
    }
  })();
  return {
    async stop() {
      stopped = true;
      await current.kill();
      await running;
    },
  };
}

/** The live page in Chromium. Media that breaks, or that the player had to begin anew, is no stall: it is kept as trouble. */
export class Watcher {
  static async open(browser, target) {
    const watcher = new Watcher();
    watcher.complaints = [];
    watcher.page = await visit(browser, desktop, watcher.complaints);
    await watcher.page.goto(target);
    await playing(watcher.page, '[data-testid="live-video"]', backMs);
    await watcher.page.evaluate(() => {
      globalThis.troubles = [];
      for (const kind of ['error', 'emptied', 'ended']) {
        document.addEventListener(kind, ({ target: { localName, error } }) => localName === 'video' && globalThis.troubles.push(`${kind} ${error?.message ?? ''}`), true);
      }
    });
    return watcher;
  }
  async time() {
    const { time, troubles, failed } = await this.page.evaluate(() => ({
      time: document.querySelector('[data-testid="live-video"]').currentTime,
      troubles: globalThis.troubles,
      failed: document.querySelector('[data-testid="live-failed"]')?.innerText,
    }));
    if (troubles.length > 0 || failed) throw new Hopeless(`the player: ${troubles} ${failed ?? ''}`);
    return time;
  }
  /** What is no failed request: those are expected while something is down. */
  get scriptErrors() {
    return this.complaints.filter((line) => !/Failed to load resource/.test(line));
  }
}

export async function nginxWorkers(instance) {
  const { stdout } = await run('pgrep', ['-P', String(instance.pid('edge')), '-f', 'worker process']);
  return stdout.trim().split('\n').map(Number);
}
