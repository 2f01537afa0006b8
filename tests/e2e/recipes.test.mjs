// Files as phones, editors and broken uploads make them, made here (recipes.mjs), through the real door: what is ready is
// seen and heard as it must be, the rest is refused with its kind. Then what files and dying children may not do: no frame
// of another file, nothing half done in the store. Needs no folder of real files.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hopeless, Instance, clip, run, until } from './instance.mjs';
import { media, multivariant } from './hls.mjs';
import { bases, cook, observe, recipes } from './recipes.mjs';
import { Upload } from './tus.mjs';

const daemons = ['control', 'ingest', 'packager', 'transcode', 'redis'];
/** A picture of 16384x8192 is opened and refused; what is worked on is small. Far under the child's limit of 4 GiB. */
const childKbMax = 2_000_000;
/** Two frames of these pictures; a clock that drifts or a track that is delayed by its B-frames is further off. */
const near = 0.067;
/** Flash and beep. */
const apartMax = 1 / 30;

let instance;
let folder;
let pids;
before(async () => {
  Object.assign(process.env, { RIBALTA_TRANSCODE_SHORT_SIDE_MAX: '240', RIBALTA_TRANSCODE_VOD_PRESET: 'ultrafast' });
  folder = mkdtempSync('/tmp/rb-recipes-');
  await cook(folder);
  instance = await Instance.start('recipes');
  pids = Object.fromEntries(daemons.map((name) => [name, instance.pid(name)]));
}, { timeout: 900_000 });
after(async () => {
  await instance?.stop();
  if (folder) rmSync(folder, { recursive: true, force: true });
});

/** Media children of the farm that work now. */
function children() {
  return readdirSync('/proc').filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      const [, ppid] = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' '); // state, parent, …
      return Number(ppid) === pids.transcode && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--media-child');
    } catch {
      return false; // it has ended meanwhile
    }
  });
}

/** CPU time that a process has used, in hundredths of a second; 0 when it has ended. */
function cpuTicks(pid) {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\) /s, '').split(' ')[11]);
  } catch {
    return 0;
  }
}

/** The largest resident size of any child until `stop`, KiB. */
function watchChildren() {
  let most = 0;
  const timer = setInterval(() => {
    for (const pid of children()) {
      try {
        most = Math.max(most, Number(readFileSync(`/proc/${pid}/status`, 'utf8').match(/VmHWM:\s*(\d+)/)?.[1] ?? 0));
      } catch {
        // it has ended meanwhile
      }
    }
  }, 100);
  return () => (clearInterval(timer), most);
}

const upload = async (files) => {
  const { stdout, stderr } = await instance.cli(['upload', '--wait', '--json', ...files], { timeout: 600_000 });
  const ends = stdout.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
  assert.equal(ends.length, files.length, stderr);
  return ends;
};

/** What is wrong with what became of a recipe; empty: nothing. */
async function complaints(recipe, end) {
  const wrong = [];
  const must = (good, what) => good || wrong.push(what);
  const checked = await instance.cli(['check', '--json', instance.url(end.hls)]);
  must(checked.code === 0, `check: ${JSON.stringify(JSON.parse(checked.stdout).findings)}`);
  const { variants, audio } = await multivariant(instance.url(end.hls));
  must(audio.length === (recipe.silent ? 0 : 1), `${audio.length} sounds`);
  const { segments } = await media(variants[0].url);
  const seconds = segments.reduce((sum, { duration }) => sum + duration, 0);
  if (recipe.seconds) must(Math.abs(seconds - recipe.seconds) <= near, `${seconds} s, not ${recipe.seconds}`);
  must(segments.every(({ duration }) => duration <= 2.5), `segments of ${segments.map(({ duration }) => duration)} s`);

  const url = instance.url(end.hls);
  const seen = await observe(folder, url, recipe.silent ? null : url, recipe.combed);
  if (recipe.size) must(seen.size === recipe.size && variants[0].RESOLUTION === recipe.size, `${seen.size} and ${variants[0].RESOLUTION}, not ${recipe.size}`);
  if (recipe.fps) must(Math.abs(Number(variants[0]['FRAME-RATE']) - recipe.fps) < 0.01 && Math.abs(seen.frames / seconds - recipe.fps) < recipe.fps * 0.02, `${variants[0]['FRAME-RATE']} fps, ${seen.frames} frames in ${seconds} s`);
  if (recipe.corners) must(seen.corners?.join() === recipe.corners.join(), `corners ${seen.corners}, not ${recipe.corners}`);
  if (recipe.vivid) must(seen.pale <= seen.frames * 0.05, `${seen.pale} of ${seen.frames} pictures are pale`);
  if (recipe.combed) must(seen.teeth < 1, `teeth of ${seen.teeth}`);
  if (recipe.tone) must(Math.abs(seen.tone - recipe.tone) < recipe.tone * 0.1, `a tone of ${seen.tone} Hz, not ${recipe.tone}`);
  if (recipe.pairs) {
    const beepOf = (flash) => seen.beeps.find((beep) => Math.abs(beep - flash) <= apartMax);
    const pairs = seen.flashes.filter((flash) => beepOf(flash) !== undefined).length;
    must(pairs >= recipe.pairs && pairs === seen.flashes.length, `flashes at ${seen.flashes}, beeps at ${seen.beeps}`);
  }
  return wrong;
}

test('the measure itself: a source that is interlaced has teeth, one in HDR is pale, and a clock that jumps leaves flashes alone', { timeout: 120_000 }, async () => {
  const source = (file, combed) => observe(folder, path.join(folder, file), path.join(folder, file), combed);
  assert.ok((await source('interlaced.ts', true)).teeth > 5);
  const hdr = await source('hdr10.mp4');
  assert.ok(hdr.pale > hdr.frames * 0.5, `${hdr.pale} of ${hdr.frames}`);
  const jumps = await source('discontinuity.ts');
  assert.ok(jumps.flashes.some((flash, i) => i > 0 && flash < jumps.flashes[i - 1]));
});

test('each file ends as it must, is seen and heard as it was made, and memory stays bounded', { timeout: 900_000 }, async () => {
  const stop = watchChildren();
  const ends = await upload(recipes.map(({ file }) => path.join(folder, file)));
  const mostKb = stop();
  const wrong = [];
  for (const recipe of recipes) {
    const end = ends.find(({ file }) => file === path.join(folder, recipe.file));
    const got = end?.state === 'ready' ? 'ready' : end?.kind;
    if (![recipe.ends].flat().includes(got)) wrong.push(`${recipe.file}: ${got} (${end?.reason}), not ${recipe.ends}`);
    else if (got !== 'ready' && !/^[A-Z].*\.$/s.test(end.reason)) wrong.push(`${recipe.file}: no sentence for the creator: ${end.reason}`);
    else if (got === 'ready') wrong.push(...(await complaints(recipe, end)).map((what) => `${recipe.file}: ${what}`));
  }
  assert.deepEqual(wrong, []);
  assert.ok(mostKb > 10_000 && mostKb < childKbMax, `a media child took ${mostKb} KiB`);
});

test('a playlist, manifest or list that calls itself a video gives no frame of the file that it names', { timeout: 300_000 }, async () => {
  const wrapped = path.join(folder, 'short.ts');
  assert.ok(bases.some(({ file }) => file === 'short.ts') && existsSync(wrapped));
  const playlist = (url) => `#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:2,\n${url}\n#EXT-X-ENDLIST\n`;
  const mpd = (url) => `<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT2S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period><AdaptationSet mimeType="video/mp2t"><Representation id="1" bandwidth="1"><BaseURL>${url}</BaseURL></Representation></AdaptationSet></Period></MPD>\n`;
  const served = `${instance.endpoints.site.replace(/\/$/, '')}/`;
  const canaries = {
    'hls.mp4': playlist('short.ts'), 'hls_absolute.mp4': playlist(wrapped), 'hls_http.mp4': playlist(served), 'concat.mp4': 'ffconcat version 1.0\nfile short.ts\n', 'concat_absolute.mp4': `ffconcat version 1.0\nfile '${wrapped}'\n`, 'mpd.mp4': mpd('short.ts'), 'mpd_absolute.mp4': mpd(`file://${wrapped}`),
    // Behind what makes it look like the real thing.
    'mp4_then_hls.mp4': Buffer.concat([Buffer.from('\0\0\0\x10ftypisom\0\0\0\0', 'latin1'), Buffer.from(playlist(wrapped))]),
  };
  for (const [name, content] of Object.entries(canaries)) writeFileSync(path.join(folder, name), content);
  // The canary lives: as Debian has it, FFmpeg follows.
  for (const name of ['hls.mp4', 'hls_absolute.mp4', 'concat.mp4', 'mpd.mp4']) {
    const followed = await run('ffmpeg', ['-nostdin', '-v', 'error', '-i', path.join(folder, name), '-frames:v', '1', '-f', 'framecrc', '-']);
    assert.match(followed.stdout, /^0,/m, `${name}: ${followed.stderr}`);
  }
  const ends = await upload(Object.keys(canaries).map((name) => path.join(folder, name)));
  for (const { file, state, kind, video } of ends) {
    assert.equal(state, 'failed', file);
    assert.ok(['not-media', 'truncated'].includes(kind), `${file}: ${kind}`);
    assert.deepEqual(filesOf(video), [], `${file}: something of it is in the store`);
  }
});

/** What the store has of a video, but for who may see it. */
function filesOf(video) {
  const root = path.join(instance.data, 'store/vod', video);
  return existsSync(root) ? readdirSync(root, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile() && entry.name !== 'access.json').map(({ name }) => name) : [];
}

test('a media child killed in the middle leaves nothing: the job says why, is tried again, and ends', { timeout: 600_000 }, async () => {
  const token = await instance.userToken();
  const long = readFileSync(await clip(path.join(folder, 'long.mp4'), { size: '640x360', seconds: 60 }));
  const begun = async (name) => {
    const sent = await Upload.begin(instance, token, name, long);
    await sent.finish();
    return sent.video;
  };
  const look = async (video) => {
    instance.mustRun();
    const mine = await instance.api('GET', `/me/videos/${video}`, null, token);
    if (mine.state === 'ready') throw new Hopeless('it is ready');
    return mine;
  };
  /** Ends the child that works on it at that attempt, and waits until the catalogue has heard. */
  const kill = async (video, attempt, signal) => {
    await until(`attempt ${attempt}`, async () => (await look(video)).work.attempt === attempt, 120_000, 20);
    const pid = await until('a child at work', () => children().find((child) => cpuTicks(child) > 20), 120_000, 20);
    process.kill(Number(pid), signal);
    return until('the catalogue has heard', async () => {
      const mine = await look(video);
      return (mine.state === 'failed' || mine.work.stage === 'queued' || mine.work.attempt > attempt) && mine;
    }, 120_000, 50);
  };

  const unlucky = await begun('unlucky');
  const told = await kill(unlucky, 1, 'SIGKILL');
  assert.equal(told.state, 'processing', JSON.stringify(told));
  assert.match(instance.log('transcode'), /the media child ended: signal 9/);
  assert.deepEqual(filesOf(unlucky), [], 'something half done is in the store');
  const ready = await instance.videoReady(unlucky, token);
  const checked = await instance.cli(['check', instance.url(ready.video.hls)]);
  assert.equal(checked.code, 0, checked.stdout);
  assert.equal(filesOf(unlucky).filter((name) => name === 'video.json').length, 1);

  const hostile = await begun('hostile');
  assert.equal((await kill(hostile, 1, 'SIGSYS')).state, 'processing');
  const failed = await kill(hostile, 2, 'SIGSYS');
  assert.equal(failed.state, 'failed');
  assert.equal(failed.work.failure.kind, 'corrupt');
  assert.deepEqual(filesOf(hostile), []);
});

test('after all of this every daemon is the one that it was', () => {
  for (const name of daemons) assert.equal(instance.pid(name), pids[name], `${name} was restarted`);
});
