// A page of the feed: 20 items for a viewer with a history, out of 100 000 items and out of a million, on one core, after
// a million made-up events of 10 000 viewers (feed_bench.cpp says how they are made). No peer. FEED_PAGES: how many.
import { spawnSync } from 'node:child_process';
import { machine, print, row } from './report.mjs';
import { program } from './source.mjs';

const pages = Number(process.env.FEED_PAGES ?? 2000);
const say = (text) => process.stderr.write(`${text}\n`);

function run(items) {
  const { status, stdout, stderr } = spawnSync(program('ribalta-feed-bench'), [items, 10_000, 1_000_000, pages].map(String), { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ribalta-feed-bench with ${items} items: ${stderr}`);
  say(stdout.trim());
  return JSON.parse(stdout);
}

const small = run(100_000);
const large = run(1_000_000);
print([
  row('p50/100k', 'ms', [small.p50_ms]),
  row('p99/100k', 'ms', [small.p99_ms]),
  row('p50/1m', 'ms', [large.p50_ms]),
  row('p99/1m', 'ms', [large.p99_ms]),
  row('p99/1m-beside-100k', 'times', [large.p99_ms / small.p99_ms]),
  row('memory/100k', 'MB', [small.memory_mb]),
  row('memory/1m', 'MB', [large.memory_mb]),
  row('training/100k', 's', [small.train_s]),
  row('training/1m', 's', [large.train_s]),
  row('learning/100k', 'µs', [small.learn_s * 1e6 / small.events]),
], process.argv.includes('--json'));
say(`${machine()}; 10 000 viewers, 1 000 000 events, ${pages} pages of 20 items, embeddings of 32 dimensions; one thread`);
