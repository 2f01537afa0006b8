// Do the benches that stand on no instance still run? The smallest sizes, with what the sanitizers watch; the figures mean
// nothing here, and none is asserted.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { root, run } from './instance.mjs';

const folder = mkdtempSync('/tmp/rb-benches-');
after(() => rmSync(folder, { recursive: true, force: true }));

/** The rows that tests/bench/NAME.mjs prints. */
async function rows(name, environment, ...words) {
  const env = { ...process.env, RIBALTA_BENCH_BUILD: 'asan', ...environment };
  const { code, stdout, stderr } = await run(process.execPath, [path.join(root, 'tests/bench', `${name}.mjs`), '--json', ...words], { env, timeout: 180_000 });
  assert.equal(code, 0, stderr);
  return new Map(JSON.parse(stdout).map((row) => [row.name, row]));
}

test('ledger: both engines, each beside its peers, and verify', { timeout: 200_000 }, async () => {
  const found = await rows('ledger', { LEDGER_ROUNDS: '1', LEDGER_SECONDS: '1', LEDGER_VERIFY: '2000' });
  for (const engine of ['sqlite', 'postgresql']) {
    for (const beside of ['', '-beside-plain', '-beside-pgbench', '-hot']) assert.ok(found.get(`rate/${engine}${beside}`)?.ratio > 0, `${engine}${beside}`);
    for (const quantile of ['p50', 'p99']) assert.ok(found.get(`${quantile}/${engine}-half-load`)?.ours > 0, `${quantile} ${engine}`);
  }
  assert.ok(found.get('verify-memory/2000').ours > 0);
});

test('feed: pages of few items and of ten times as many', { timeout: 200_000 }, async () => {
  const found = await rows('feed', { FEED_EVENTS: '4000', FEED_PAGES: '20' });
  for (const name of ['p50/400', 'p99/400', 'p50/4k', 'p99/4k', 'p99/4k-beside-400', 'memory/4k', 'training/4k', 'learning/400']) assert.ok(found.get(name)?.ours > 0, name);
});

test('feed-quality: a file of either form, each protocol, each model', { timeout: 200_000 }, async () => {
  // Viewers of two tastes, in an order of their own.
  const histories = Array.from({ length: 32 }, (_, viewer) => Array.from({ length: 10 }, (_, i) => 1 + (viewer % 2) * 16 + ((viewer * 7 + i * 5) % 16)));
  const inter = path.join(folder, 'made.inter');
  const sequences = path.join(folder, 'made.txt');
  const lines = histories.flatMap((items, viewer) => items.map((item, i) => `${viewer + 1}\t${item}\t5\t${1000 + i}`));
  writeFileSync(inter, `user_id:token\titem_id:token\trating:float\ttimestamp:float\n${lines.join('\n')}\n`);
  writeFileSync(sequences, histories.map((items, viewer) => `${viewer + 1} ${items.join(' ')}\n`).join(''));
  for (const [protocol, file] of [['loo', inter], ['random', sequences]]) {
    const found = await rows('feed-quality', {}, '--dataset', file, '--protocol', protocol);
    const ours = (model) => found.get(`${model}/ndcg@10`)?.ours;
    for (const model of ['pop', 'itemknn', 'ease', 'ials', 'ranker']) assert.ok(ours(model) >= 0 && ours(model) <= 1, `${protocol}: ${model} ${ours(model)}`);
    for (const { name, peer } of found.values()) assert.equal(peer, null, `${name}: nobody has published figures of this file`);
    // Half of the items are the other taste's: who knows the histories guesses better than who does not.
    assert.ok(ours('ease') > ours('pop'), `${protocol}: ${ours('ease')}, ${ours('pop')}`);
  }
});
