// A page of the feed: 20 items for a viewer with a history, out of 100 000 items and out of a million, on one core, after
// a million made-up events of 10 000 viewers (feed_bench.cpp says how they are made). No peer.
// FEED_PAGES: how many; FEED_EVENTS: for another number than a million, items and viewers in proportion.
import { spawnSync } from 'node:child_process';
import { machine, print, row } from './report.mjs';
import { program } from './source.mjs';

const pages = Number(process.env.FEED_PAGES ?? 2000);
const events = Number(process.env.FEED_EVENTS ?? 1_000_000);
const viewers = Math.ceil(events / 100);
const say = (text) => process.stderr.write(`${text}\n`);

function run(items) {
  const { status, stdout, stderr } = spawnSync(program('ribalta-feed-bench'), [items, viewers, events, pages].map(String), { encoding: 'utf8' });
  if (status !== 0) throw new Error(`ribalta-feed-bench with ${items} items: ${stderr}`);
  say(stdout.trim());
  return JSON.parse(stdout);
}

const size = (items) => (items < 1000 ? `${items}` : items < 1_000_000 ? `${items / 1000}k` : `${items / 1_000_000}m`);
const few = Math.ceil(events / 10);
const small = run(few);
const large = run(events);
print([
  ...[[few, small], [events, large]].flatMap(([items, found]) => [
    row(`p50/${size(items)}`, 'ms', [found.p50_ms]),
    row(`p99/${size(items)}`, 'ms', [found.p99_ms]),
    row(`memory/${size(items)}`, 'MB', [found.memory_mb]),
    row(`training/${size(items)}`, 's', [found.train_s]),
  ]),
  row(`p99/${size(events)}-beside-${size(few)}`, 'times', [large.p99_ms / small.p99_ms]),
  row(`learning/${size(few)}`, 'µs', [small.learn_s * 1e6 / small.events]),
], process.argv.includes('--json'));
say(`${machine()}; ${viewers} viewers, ${events} events, ${pages} pages of 20 items, embeddings of 32 dimensions; one thread`);
