// Every real file of the corpus through the real door: it ends as its line in MANIFEST.tsv says, what is ready holds against
// the strict checker, and the daemons live on. A small ladder; `scripts/test long` makes the full one, with the longest files.
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Instance, artefacts } from './instance.mjs';

const corpus = process.env.RIBALTA_TEST_MEDIA;
const long = process.env.RIBALTA_CORPUS === 'full';
const there = corpus && existsSync(path.join(corpus, 'MANIFEST.tsv'));
const reason = there ? false : 'RIBALTA_TEST_MEDIA names no folder with a MANIFEST.tsv: real files were left out; those of recipes.test.mjs are made without it';
/** Minutes of decoding each, however small the ladder. */
const patient = new Set(['uploads/long_4k60_av1_6min.mp4', 'uploads/long_1080p_6min_lowrate.mp4']);
const daemons = ['control', 'ingest', 'packager', 'transcode', 'redis'];

let instance;
before(async () => {
  if (!there) return;
  if (!long) Object.assign(process.env, { RIBALTA_TRANSCODE_SHORT_SIDE_MAX: '240', RIBALTA_TRANSCODE_VOD_PRESET: 'ultrafast' });
  instance = await Instance.start('corpus');
}, { timeout: 600_000 });
after(async () => instance && (await instance.stop()));

/** The ends that a line of the manifest allows: `ready`, and kinds of refusal; empty: any end will do. */
export function allowed(expected) {
  if (/^robust/.test(expected)) return [];
  const ends = [...expected.matchAll(/reject:([a-z-]+)/g)].map(([, kind]) => kind);
  // A policy by file names is not ours.
  return [...(/\baccept\b/.test(expected) ? ['ready'] : []), ...ends.filter((kind) => kind !== 'extension')];
}

test('each file ends as its line says, and the daemons live on', { skip: reason, timeout: long ? 7_200_000 : 1_200_000 }, async () => {
  const [, ...lines] = readFileSync(path.join(corpus, 'MANIFEST.tsv'), 'utf8').trim().split('\n').map((line) => line.split('\t'));
  const files = lines.map((line) => ({ name: line[0], expected: line.at(-1) })).filter(({ name }) => long || !patient.has(name));
  assert.ok(files.length > 100, `${files.length} files`);
  const before_pids = Object.fromEntries(daemons.map((name) => [name, instance.pid(name)]));
  const ends = [];
  const wrong = [];
  // The farm works on what is there while the next files come: a run of files is one command.
  for (let at = 0; at < files.length; at += 12) {
    const some = files.slice(at, at + 12);
    const { stdout, stderr } = await instance.cli(['upload', '--wait', '--json', ...some.map(({ name }) => path.join(corpus, name))], { timeout: long ? 3_600_000 : 300_000 });
    const done = stdout.trim().split('\n').filter(Boolean).map((line) => JSON.parse(line));
    for (const { name, expected } of some) {
      const end = done.find(({ file }) => file === path.join(corpus, name));
      if (!end) {
        wrong.push(`${name}: no end (${stderr.trim().slice(-300)})`);
        continue;
      }
      ends.push({ name, ...end });
      const got = end.state === 'ready' ? 'ready' : end.kind;
      const may = allowed(expected);
      if (end.state === 'failed' && !/^[A-Z].*\.$/s.test(end.reason ?? '')) wrong.push(`${name}: no sentence for the creator: ${end.reason}`);
      if (may.length > 0 ? !may.includes(got) : !['ready', 'failed'].includes(end.state)) wrong.push(`${name}: ${got} (${end.reason}), expected ${expected}`);
    }
  }
  mkdirSync(artefacts, { recursive: true });
  writeFileSync(path.join(artefacts, 'corpus.json'), JSON.stringify(ends, null, 1));
  assert.deepEqual(wrong, []);
  for (const name of daemons) assert.equal(instance.pid(name), before_pids[name], `${name} was restarted`);

  const broken = [];
  for (const { name, hls } of ends.filter(({ state }) => state === 'ready')) {
    const { stdout, code } = await instance.cli(['check', '--json', instance.url(hls)]);
    if (code !== 0) broken.push(`${name}: ${JSON.stringify(JSON.parse(stdout).findings)}`);
  }
  assert.deepEqual(broken, [], 'what is ready holds against the checker');
});
