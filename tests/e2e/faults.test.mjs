// kill -9 of every daemon in turn, during one live that somebody watches and one upload that is under way.
import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Instance, clip, publish, run, until } from './instance.mjs';
import { media, multivariant } from './hls.mjs';

// `scripts/test long` goes round many times; each round kills every daemon once.
const rounds = Number(process.env.RIBALTA_FAULT_ROUNDS ?? 1);

let instance;
before(async () => (instance = await Instance.start('faults')), { timeout: 600_000 });
after(async () => instance && (await instance.stop()));

/** A viewer without mercy: follows a media playlist, fetches each segment once, keeps the numbers and the answers. */
class Viewer {
  constructor(playlist) {
    this.playlist = playlist;
    this.seen = new Map();
    this.backwards = [];
    this.last = 0;
    this.stopped = false;
    this.done = this.#follow();
  }
  async #follow() {
    while (!this.stopped) {
      try {
        const now = await media(this.playlist);
        if (now.sequence < this.last) this.backwards.push([this.last, now.sequence]);
        this.last = Math.max(this.last, now.sequence);
        for (const [i, segment] of now.segments.entries()) {
          const number = now.sequence + i;
          if (segment.gap || this.seen.has(number)) continue;
          const answer = await fetch(segment.url);
          if (!answer.ok) continue; // asked again with the next playlist
          this.seen.set(number, { url: segment.url, bytes: (await answer.arrayBuffer()).byteLength });
        }
        this.target = now.target;
      } catch {
        // a stall, as a player would have it: it asks again
      }
      await new Promise((resolve) => setTimeout(resolve, 500));
    }
  }
  get newest() {
    return Math.max(0, ...this.seen.keys());
  }
  async stop() {
    this.stopped = true;
    await this.done;
  }
}

/** An encoder that comes back by itself, as OBS does. */
function persistentPublisher(url) {
  let stopped = false;
  let current;
  const running = (async () => {
    while (!stopped) {
      current = publish(url);
      await current.exited;
      if (!stopped) await new Promise((resolve) => setTimeout(resolve, 1000));
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

const nginxWorker = async () => {
  const master = instance.pid('edge');
  const { stdout } = await run('pgrep', ['-P', String(master), '-f', 'worker process']);
  return Number(stdout.trim().split('\n')[0]);
};

test('each daemon is back by itself after kill -9, the live goes on, no upload is lost', { timeout: rounds * 400_000 }, async () => {
  const publisher = persistentPublisher(`${instance.endpoints.rtmp}/${instance.endpoints.stream_key}`);
  const live = await until('the live is listed', async () => (await instance.api('GET', '/lives')).items.find(({ state }) => state === 'live'), 40_000);
  const master = await multivariant(instance.url(live.hls));
  const viewer = new Viewer(master.variants[0].url);
  await until('the viewer plays', () => viewer.seen.size >= 2, 40_000);

  const folder = mkdtempSync('/tmp/rb-faults-');
  const file = await clip(path.join(folder, 'large.mp4'), { size: '640x360', seconds: 20, extra: ['-b:v', '3M'] });
  const uploading = instance.cli(['upload', '--wait', '--json', file], { timeout: 400_000 });

  for (let round = 0; round < rounds; round++) {
    for (const service of ['ingest', 'packager', 'transcode', 'control', 'redis']) {
      const before_kill = viewer.newest;
      await instance.killed(service);
      await until(`the viewer plays on after ${service} was killed`, () => viewer.newest >= before_kill + 2, 60_000);
    }
    const before_kill = viewer.newest;
    const worker = await nginxWorker();
    process.kill(worker, 'SIGKILL');
    await until('nginx has another worker', async () => (await nginxWorker()) !== worker, 20_000);
    await until('the viewer plays on after the nginx worker was killed', () => viewer.newest >= before_kill + 2, 60_000);
  }

  assert.deepEqual(viewer.backwards, [], 'the media sequence never goes back');
  const uploaded = await uploading;
  const done = JSON.parse(uploaded.stdout.trim().split('\n').at(-1));
  assert.equal(done.state, 'ready', `${uploaded.stdout}\n${uploaded.stderr}`);
  const versions = readdirSync(path.join(instance.data, 'store/vod', done.video)).filter((entry) => {
    try {
      return JSON.parse(readFileSync(path.join(instance.data, 'store/vod', done.video, entry, 'video.json'), 'utf8')).video === done.video;
    } catch {
      return false; // access.json, or a version that was never finished
    }
  });
  assert.equal(versions.length, 1, `one published result: ${versions}`);

  await viewer.stop();
  await publisher.stop();
});
