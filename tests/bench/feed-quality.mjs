// How well the feed's models guess what was held back from them, beside figures that others published or that were computed
// elsewhere on the same files: docs/feed-quality.md says how. Settings are chosen on validation by the program itself.
//
//   scripts/bench feed-quality                                       all three cases from RIBALTA_TEST_DATA
//   scripts/bench feed-quality --dataset FILE --protocol loo|random  one file; rows without the data set's name
import { spawn } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import path from 'node:path';
import { program } from './source.mjs';
import { machine, print, row } from './report.mjs';

const say = (text) => process.stderr.write(`${text}\n`);

// What each file's rows are compared with. `best` is, in each column, the best of all known rows: the ranker's peer.
const loo = ['hr@5', 'hr@10', 'hr@20', 'ndcg@5', 'ndcg@10', 'ndcg@20'];
const named = (columns, ...values) => Object.fromEntries(columns.map((column, i) => [column, values[i]]));
const references = {
  'LastFM.txt/loo': {
    pop: ['PopRec, S3-Rec paper', named(loo, 0.0275, 0.0440, 0.0615, 0.0151, 0.0203, 0.0248)],
    itemknn: ['ItemKNN, numpy', named(loo, 0.0596, 0.0872, 0.1330, 0.0334, 0.0422, 0.0537)],
    ease: ['EASE λ 300, numpy', named(loo, 0.0578, 0.0853, 0.1358, 0.0403, 0.0492, 0.0621)],
    ials: ['iALS f 64, numpy', named(loo, 0.0624, 0.0945, 0.1394, 0.0406, 0.0509, 0.0621)],
    ranker: ['best row: iALS, numpy', named(loo, 0.0624, 0.0945, 0.1394, 0.0406, 0.0509, 0.0621)],
  },
  'ml-100k.inter/random': {
    pop: ['Pop, numpy', named(['ndcg@10', 'p@10', 'r@10'], 0.2504, 0.2290, 0.1133)],
    itemknn: ['ItemKNN, numpy', named(['ndcg@10', 'p@10', 'r@10'], 0.4225, 0.3694, 0.1953)],
    ease: ['EASE λ 300, numpy', named(['ndcg@10', 'p@10', 'r@10'], 0.4796, 0.4223, 0.2262)],
    ials: ['iALS f 64, numpy', named(['ndcg@10', 'p@10', 'r@10'], 0.4306, 0.3802, 0.2018)],
    ranker: ['best row: EASE, numpy', named(['ndcg@10', 'p@10', 'r@10'], 0.4796, 0.4223, 0.2262)],
  },
  'ml-100k.inter/loo': {
    pop: ['Pop, numpy', named(['hr@10', 'ndcg@10'], 0.0498, 0.0253)],
    itemknn: ['ItemKNN, numpy', named(['hr@10', 'ndcg@10'], 0.0944, 0.0423)],
    ease: ['EASE λ 300, numpy', named(['hr@10', 'ndcg@10'], 0.0880, 0.0416)],
    ials: ['iALS f 64, numpy', named(['hr@10', 'ndcg@10'], 0.0912, 0.0455)],
    ranker: ['best row: EASE and transitions, numpy', named(['hr@10', 'ndcg@10'], 0.1760, 0.0933)],
  },
};
for (const reference of Object.values(references)) Object.assign(reference, { ease_tuned: reference.ease, ials_tuned: reference.ials });

/** The pairs of a random split that somebody has put beside the file: its figures are of that split. */
function pairsBeside(file) {
  const found = readdirSync(path.dirname(file)).filter((name) => /^random-.*-test\.tsv$/.test(name));
  return found.length === 1 ? [path.join(path.dirname(file), found[0])] : [];
}

/** What the program prints; what it says on the way is passed on. */
async function measure(file, protocol) {
  const pairs = protocol === 'random' ? pairsBeside(file) : [];
  say(`${file}, ${protocol}${pairs.length ? `, test pairs of ${path.basename(pairs[0])}` : ''}`);
  const child = spawn(program('ribalta-feed-quality'), [file, protocol, ...pairs], { stdio: ['ignore', 'pipe', 'inherit'] });
  let out = '';
  child.stdout.on('data', (piece) => (out += piece));
  const code = await new Promise((resolve, reject) => child.on('error', reject).on('close', resolve));
  if (code !== 0) throw new Error(`ribalta-feed-quality ended with ${code}`);
  const report = JSON.parse(out);
  say(`${report.viewers} viewers, ${report.items} items, ${report.events} events; seconds of training and test: ${report.seconds.map(({ model, value }) => `${model} ${value.toFixed(1)}`).join(', ')}`);
  // Test pairs that we drew ourselves are not those that the figures were made with.
  const known = protocol === 'loo' || pairs.length > 0 ? references[`${path.basename(file)}/${protocol}`] : undefined;
  return { report, known: known ?? {} };
}

function rows(prefix, { report, known }) {
  return report.test.map(({ model, metric, value }) => {
    const [name, values] = known[model] ?? [];
    const peer = values?.[metric];
    return row(`${prefix}${model}/${metric}`, 'share', [value], peer === undefined ? [] : [peer], peer === undefined ? null : name);
  });
}

function option(name) {
  const at = process.argv.indexOf(name);
  return at < 0 ? undefined : process.argv[at + 1];
}

const dataset = option('--dataset');
const protocol = option('--protocol');
// The folder of the data sets, or the one above it.
const dataFolder = process.env.RIBALTA_TEST_DATA;
const folder = dataFolder && existsSync(path.join(dataFolder, 'recsys')) ? path.join(dataFolder, 'recsys') : dataFolder;
let cases;
if (dataset !== undefined) {
  if (protocol !== 'loo' && protocol !== 'random') {
    say('--dataset needs --protocol loo or --protocol random.');
    process.exit(2);
  }
  cases = [['', dataset, protocol]];
} else {
  if (protocol !== undefined) {
    say('--protocol needs --dataset.');
    process.exit(2);
  }
  cases = [['lastfm-loo/', 'lastfm/LastFM.txt', 'loo'], ['ml-100k-random/', 'ml-100k/ml-100k.inter', 'random'], ['ml-100k-loo/', 'ml-100k/ml-100k.inter', 'loo']]
    .map(([prefix, file, how]) => [prefix, path.join(folder ?? '', file), how]);
}
const missing = cases.filter(([, file]) => !existsSync(file)).map(([, file]) => file);
if ((dataset === undefined && !folder) || missing.length > 0) {
  say(dataset === undefined && !folder
    ? 'There is no data to measure with: RIBALTA_TEST_DATA names no folder. Their licences keep the files out of this tree; docs/feed-quality.md says where they come from. Or name a file: --dataset FILE --protocol loo|random.'
    : `Nothing was measured, for these files do not exist: ${[...new Set(missing)].join(', ')}`);
  process.exit(1);
}
const all = [];
for (const [prefix, file, how] of cases) all.push(...rows(prefix, await measure(file, how)));
print(all, process.argv.includes('--json'));
say(machine());
