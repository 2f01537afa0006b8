// A page of the feed: 20 items for a viewer with a history, out of 100 000 items and out of a million, on one core, after
// a million made-up events of 10 000 viewers (feed_bench.cpp says how they are made). No peer.
// FEED_PAGES: how many in each of the five rounds; FEED_EVENTS: for another number than a million, items and viewers in proportion.
import { spawnSync } from 'node:child_process';
import { machine, print, row } from './report.mjs';
import { program } from './source.mjs';

const pages = Number(process.env.FEED_PAGES ?? 1000);
const events = Number(process.env.FEED_EVENTS ?? 1_000_000);
const viewers = Math.ceil(events / 100);
const few = Math.ceil(events / 10);

const { status, signal, error, stdout } = spawnSync(program('ribalta-feed-bench'), [viewers, events, pages, few, events].map(String), {
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
});
if (status !== 0) throw new Error(`ribalta-feed-bench: ${error ?? `ends with ${signal ?? status}`}`);
const lines = stdout.trim().split('\n').map((line) => JSON.parse(line));
const of = (items, field) => lines.filter((line) => line.items === items && field in line).map((line) => line[field]);
const size = (items) => (items < 1000 ? `${items}` : items < 1_000_000 ? `${items / 1000}k` : `${items / 1_000_000}m`);
const p99 = of(few, 'p99_ms');
print([
  ...[few, events].flatMap((items) => [
    row(`p50/${size(items)}`, 'ms', of(items, 'p50_ms')),
    row(`p99/${size(items)}`, 'ms', of(items, 'p99_ms')),
    row(`memory/${size(items)}`, 'MB', of(items, 'memory_mb')),
    row(`training/${size(items)}`, 's', of(items, 'train_s')),
  ]),
  row(`p99/${size(events)}-beside-${size(few)}`, 'times', of(events, 'p99_ms').map((ms, round) => ms / p99[round])),
  row(`learning/${size(few)}`, 'µs', of(few, 'learn_s').map((seconds) => seconds * 1e6 / events)),
], process.argv.includes('--json'));
process.stderr.write(`${machine()}; ${viewers} viewers, ${events} events, ${pages} pages of 20 items a round, embeddings of 32 dimensions; one thread\n`);
