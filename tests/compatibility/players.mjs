// Players: three in Chromium, two in a terminal. Each try resolves to {ok, notes: [sentence]}.
import { createReadStream, existsSync, statSync } from 'node:fs';
import { createServer } from 'node:http';
import path from 'node:path';
import { launch } from '../e2e/browser.mjs';
import { flashPeriod, measure } from '../e2e/flash.mjs';
import { run, until } from '../e2e/instance.mjs';
import { moves } from './tap.mjs';

const here = import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname);
const types = { '.html': 'text/html', '.js': 'text/javascript' };

/** The page and the players' own files; nothing else. */
async function pages() {
  const server = createServer((request, response) => {
    const wanted = new URL(request.url, 'http://x').pathname;
    const file = ['/', '/page.html', '/page.js'].includes(wanted)
      ? path.join(here, wanted === '/' ? 'page.html' : wanted)
      : path.join(here, 'node_modules', path.normalize(wanted));
    if (!existsSync(file) || !statSync(file).isFile()) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { 'Content-Type': types[path.extname(file)] ?? 'application/octet-stream' });
    createReadStream(file).pipe(response);
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return server;
}

/** Sound and picture are together where they are less than this apart: one frame at 30 a second, in seconds. */
const frame = 1 / 30;

/** What a try must show; each line that does not hold is a sentence in the table. */
class Verdict {
  notes = [];
  expect(holds, sentence) {
    if (!holds) this.notes.push(sentence);
  }
  /** Sound and picture as they were sent (`own`: when it flashed and beeped) and as they were fetched, where that was measured. */
  judge(own) {
    if (!this.fetched) return;
    const pairs = moves(this.fetched, own);
    this.expect(pairs.length >= Object.keys(this.fetched.video).length && pairs.length > 0, 'no flash with its beep in what it fetched');
    for (const { video, audio, moved } of pairs) {
      this.expect(Math.abs(moved) <= frame, `sound of ${audio} has moved ${Math.round(moved * 1000)} ms against the picture of ${video}`);
      if (this.skew === undefined || Math.abs(moved) > Math.abs(this.skew)) this.skew = moved;
    }
  }
  get ok() {
    return this.notes.length === 0;
  }
}

export class Browsers {
  static async start() {
    const browsers = new Browsers();
    browsers.server = await pages();
    browsers.chromium = await launch();
    browsers.version = `Chromium ${browsers.chromium.version()}`;
    return browsers;
  }
  async stop() {
    await this.chromium.close();
    this.server.close();
  }

  /**
   * Plays `url`: picture and sound, steady for `steady` ms, every rung down and up; VOD also after a jump. What it fetched
   * waits in the verdict for `judge`.
   */
  async play(name, url, { live, size, steady = 8_000 }) {
    const verdict = new Verdict();
    const page = await this.chromium.newPage();
    const fetched = [];
    page.on('requestfinished', (request) => fetched.push(request.url()));
    const look = () => page.evaluate('look()');
    try {
      await page.goto(`http://127.0.0.1:${this.server.address().port}/`);
      const rungs = await page.evaluate(([player, source]) => globalThis.start(player, source), [name, url]);
      await until('playing', async () => {
        const state = await look();
        return state.time > (live ? 0 : 0.5) && state.width > 0 && state.sound > 0 && state;
      }, 40_000);
      const places = rungs.length;
      verdict.expect(places >= 1, 'no rung is offered');
      if (size) {
        await page.evaluate((place) => globalThis.player.choose(place), places - 1);
        await until(`the top rung (${size})`, async () => (await look()).height === size, 25_000).catch((error) => verdict.notes.push(error.message));
      }
      await this.#steady(page, verdict, steady);
      if (places > 1) {
        for (const place of [0, places - 1]) {
          await page.evaluate((chosen) => globalThis.player.choose(chosen), place);
          await until(`rung ${rungs[place]}`, async () => (await look()).height === rungs[place], 30_000).catch((error) => verdict.notes.push(error.message));
        }
      }
      if (!live) await this.#jump(page, verdict);
      const end = await look();
      await this.#together(verdict, fetched, end.flashes);
      for (const { kind, detail } of end.events.filter(({ kind: what }) => what === 'error')) verdict.notes.push(`${kind}: ${detail}`);
    } catch (error) {
      verdict.notes.push(error.message.split('\n')[0]);
      const { events } = await look().catch(() => ({ events: [] }));
      for (const { kind, detail } of events.filter(({ kind: what }) => what === 'error' || what === 'trouble').slice(0, 3)) verdict.notes.push(`${kind}: ${detail}`);
    } finally {
      await page.close();
    }
    return verdict;
  }

  /** Time goes on as the clock does, without a stall and in one buffered range. */
  async #steady(page, verdict, ms) {
    const before = await page.evaluate('look()');
    await until('the time to pass', async () => (await page.evaluate('performance.now()')) - before.now >= ms, ms + 20_000, 250);
    const after = await page.evaluate('look()');
    const played = (after.time - before.time) * 1000;
    const passed = after.now - before.now;
    const ended = after.duration !== null && after.time >= after.duration - 0.5;
    verdict.expect(ended || played > passed * 0.93, `played ${Math.round(played)} of ${Math.round(passed)} ms`);
    const stalls = after.events.filter(({ kind, at }) => (kind === 'waiting' || kind === 'stalled') && at > before.now + 500 && at < after.now);
    verdict.expect(ended || stalls.length === 0, `${stalls.length} stalls while nothing changed`);
    verdict.expect(after.frames > before.frames || ended, 'no frame was shown');
    verdict.expect(after.sound > before.sound || ended, 'no sound was decoded');
  }

  /** Flash and beep in the media that this player fetched, in every rung, and the flash where it showed it. */
  async #together(verdict, fetched, shown) {
    const measured = await measure(fetched);
    verdict.fetched = measured;
    // Where a player puts the media's zero is its own affair; that it is one place for all that it shows is not.
    const exact = shown.filter(({ after }) => after > 0 && after < 1.5 * frame).map(({ mediaTime }) => mediaTime);
    const coded = Object.values(measured.video).flat();
    const apart = (offset) => Math.max(...exact.map((time) => Math.min(...coded.map((one) => Math.abs(time - offset - one)))));
    const best = Math.min(...coded.map((one) => apart(exact[0] - one)));
    verdict.expect(exact.length >= 2, `${exact.length} flashes were seen`);
    verdict.expect(best <= frame, `flashes are shown up to ${Math.round(best * 1000)} ms from where the media has them`);
  }

  async #jump(page, verdict) {
    const { duration } = await page.evaluate('look()');
    if (!duration || duration < 6) return;
    const target = duration / 2;
    await page.evaluate((time) => (document.querySelector('video').currentTime = time), target);
    const after = await until('playing after the jump', async () => {
      const state = await page.evaluate('look()');
      return state.time > target + 0.4 && state;
    }, 25_000).catch((error) => verdict.notes.push(error.message));
    if (typeof after !== 'object') return;
    const around = after.buffered.filter(([begin, end]) => end > target && begin < after.time + 10);
    verdict.expect(around.length === 1, `${around.length} buffered ranges around the place it jumped to`);
  }
}

/** ffmpeg reads for some seconds and decodes everything; any line that it prints as an error counts. */
export async function ffmpegPlays(url, seconds = 8) {
  const verdict = new Verdict();
  const { code, stderr, stdout } = await run('ffmpeg', ['-nostdin', '-v', 'error', '-i', url, '-t', String(seconds), '-map', '0:v:0', '-map', '0:a:0', '-f', 'framecrc', '-'], { timeout: 90_000 });
  verdict.expect(code === 0, `exit code ${code}`);
  if (stderr.trim()) verdict.notes.push(...stderr.trim().split('\n').slice(0, 3));
  const frames = stdout.split('\n').filter((line) => /^0,/.test(line)).length;
  verdict.expect(frames > 20, `${frames} frames decoded`);
  return verdict;
}

/** GStreamer's playbin3 (urisourcebin and its adaptive demuxers) until some buffers came through both sinks. */
export async function gstreamerPlays(url, buffers = 150) {
  const verdict = new Verdict();
  const { code, stdout, stderr, signal } = await run('gst-launch-1.0', ['-q', 'uridecodebin3', `uri=${url}`, 'name=d',
    'd.', '!', 'queue', '!', 'video/x-raw', '!', 'identity', `eos-after=${buffers}`, '!', 'fakesink', 'sync=false',
    'd.', '!', 'queue', '!', 'audio/x-raw', '!', 'identity', `eos-after=${buffers}`, '!', 'fakesink', 'sync=false'], { timeout: 60_000 });
  verdict.expect(code === 0, `exit code ${code ?? signal}: ${`${stderr}${stdout}`.trim().split('\n').find((line) => /ERROR/.test(line)) ?? ''}`);
  return verdict;
}
