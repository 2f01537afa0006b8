// Transfers that are on disk, a second: our ledger on SQLite and on PostgreSQL, beside the same disk's own rate of syncs, one
// client with one plain SQL transaction for each transfer, and pgbench's TPC-B with eight clients. How long they take at half
// of that load, one hot account beside ten thousand, and `ribalta ledger verify` of ten million.
//
// All in one folder on one disk, one after the other in each round. LEDGER_ROUNDS, LEDGER_SECONDS, LEDGER_VERIFY (transfers).
import { spawn, spawnSync } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { machine, median, print, row, version } from './report.mjs';
import { program } from './source.mjs';

const rounds = Number(process.env.LEDGER_ROUNDS ?? 3);
const seconds = Number(process.env.LEDGER_SECONDS ?? 4);
const verified = Number(process.env.LEDGER_VERIFY ?? 10_000_000);
const folder = mkdtempSync(path.join(tmpdir(), 'ribalta-ledger-'));
const say = (text) => process.stderr.write(`${text}\n`);

function must(command, args, options = {}) {
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', maxBuffer: 1 << 26, ...options });
  if (status !== 0) throw new Error(`${command} ${args.join(' ')}: ${stderr || stdout}`);
  return stdout;
}
const load = (...args) => JSON.parse(must(program('ribalta-ledger-load'), args.map(String)));

/** A PostgreSQL of our own on a Unix socket, with Debian's settings but for where it listens. */
class Postgres {
  static async start() {
    const versions = existsSync('/usr/lib/postgresql') ? readdirSync('/usr/lib/postgresql').sort((a, b) => b - a) : [];
    if (versions.length === 0) throw new Error('PostgreSQL is not installed');
    const server = new Postgres();
    server.bin = path.join('/usr/lib/postgresql', versions[0], 'bin');
    server.folder = path.join(folder, 'postgresql');
    mkdirSync(server.folder);
    const root = process.getuid() === 0;
    if (root) {
      const [uid, gid] = ['-u', '-g'].map((flag) => Number(must('id', [flag, 'postgres'])));
      chownSync(server.folder, uid, gid);
      must('chmod', ['711', folder]);
    }
    server.as = root ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : ['env'];
    const [command, ...words] = server.as;
    must(command, [...words, path.join(server.bin, 'initdb'), '-U', 'ribalta', '-A', 'trust', '-E', 'UTF8', '--no-locale', '-D', path.join(server.folder, 'data')], { cwd: '/' });
    server.process = spawn(command, [...words, path.join(server.bin, 'postgres'), '-D', path.join(server.folder, 'data'), '-c', 'listen_addresses=', '-c', `unix_socket_directories=${server.folder}`], { cwd: '/', stdio: ['ignore', 'ignore', 'pipe'] });
    await new Promise((resolve, reject) => {
      server.process.on('exit', (code) => reject(new Error(`postgres ended with ${code}`)));
      server.process.stderr.on('data', (text) => { if (String(text).includes('ready to accept connections')) resolve(); });
    });
    server.process.removeAllListeners('exit');
    return server;
  }
  /** An empty database's address. */
  fresh() {
    const name = `bench${(this.count = (this.count ?? 0) + 1)}`;
    this.run('createdb', name);
    return { name, address: `postgresql:host=${this.folder} user=ribalta dbname=${name}` };
  }
  run(command, ...args) {
    return must(path.join(this.bin, command), ['-h', this.folder, '-U', 'ribalta', ...args]);
  }
  tpcB() {
    const { name } = this.fresh();
    this.run('pgbench', '-q', '-i', '-s', '10', name);
    const out = this.run('pgbench', '-c', '8', '-j', '2', '-T', String(seconds), name);
    this.run('dropdb', name);
    return Number(/tps = ([\d.]+)/.exec(out)[1]);
  }
  stop() {
    this.process.kill('SIGINT');
    return new Promise((resolve) => { this.process.on('exit', resolve); });
  }
}

const found = Object.fromEntries(['fsync', 'sqlite', 'sqlite-hot', 'sqlite-plain', 'postgresql', 'postgresql-hot', 'postgresql-plain', 'pgbench'].map((name) => [name, []]));
const took = { sqlite: [], postgresql: [] };
const postgres = await Postgres.start();
try {
  let files = 0;
  const sqlite = () => `sqlite:${path.join(folder, `ledger${(files += 1)}.sqlite`)}`;
  const rate = (name, ...args) => {
    const { per_second: perSecond } = load(...args, '--seconds', seconds);
    found[name].push(perSecond);
    say(`  ${name}: ${perSecond.toFixed(0)} a second`);
  };
  for (let round = 1; round <= rounds; round += 1) {
    say(`round ${round} of ${rounds}`);
    rate('fsync', 'fsync', folder);
    rate('sqlite', 'rate', sqlite());
    rate('sqlite-hot', 'rate', sqlite(), '--hot');
    rate('sqlite-plain', 'plain', sqlite());
    rate('postgresql', 'rate', postgres.fresh().address);
    rate('postgresql-hot', 'rate', postgres.fresh().address, '--hot');
    rate('postgresql-plain', 'plain', postgres.fresh().address);
    found.pgbench.push(postgres.tpcB());
    say(`  pgbench: ${found.pgbench.at(-1).toFixed(0)} a second`);
    for (const engine of ['sqlite', 'postgresql']) {
      const address = engine === 'sqlite' ? sqlite() : postgres.fresh().address;
      took[engine].push(load('rate', address, '--seconds', seconds, '--per-second', Math.floor(median(found[engine]) / 2)));
    }
  }
  const rows = [];
  for (const engine of ['sqlite', 'postgresql']) {
    rows.push(
      row(`rate/${engine}`, '1/s', found[engine], found.fsync, "the disk's syncs"),
      row(`rate/${engine}-beside-plain`, '1/s', found[engine], found[`${engine}-plain`], 'one client, plain SQL'),
      row(`rate/${engine}-beside-pgbench`, '1/s', found[engine], found.pgbench, 'pgbench TPC-B, 8 clients'),
      row(`rate/${engine}-hot`, '1/s', found[`${engine}-hot`], found[engine], '10 000 accounts'),
      row(`p50/${engine}-half-load`, 'ms', took[engine].map((one) => one.p50_us / 1000)),
      row(`p99/${engine}-half-load`, 'ms', took[engine].map((one) => one.p99_us / 1000)),
    );
  }
  if (verified > 0) {
    const file = path.join(folder, 'verify.sqlite');
    say(`making ${verified} transfers to verify`);
    load('rate', `sqlite:${file}`, '--transfers', verified);
    const started = performance.now();
    const out = spawnSync('bash', ['-c', 'command time -f %M "$@"', 'bash', program('ribalta-ledger'), 'verify', '--database', `sqlite:${file}`], { encoding: 'utf8' });
    if (out.status !== 0) throw new Error(`verify: ${out.stderr}`);
    rows.push(row(`verify/${verified}`, 's', [(performance.now() - started) / 1000]), row(`verify-memory/${verified}`, 'MB', [Number(out.stderr.trim().split('\n').at(-1)) / 1024]));
    say(`  its file: ${(statSync(file).size / 1e9).toFixed(1)} GB`);
  }
  print(rows, process.argv.includes('--json'));
  say(`${machine()}; ${version(path.join(postgres.bin, 'postgres'), '--version')}, fsync and synchronous_commit on; SQLite in WAL, synchronous FULL`);
} finally {
  await postgres.stop();
  rmSync(folder, { recursive: true, force: true });
}
