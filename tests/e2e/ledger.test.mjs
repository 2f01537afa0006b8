// Whoever does the accounts, at a terminal: verify, statement, export of a ledger under load, and what each says when
// the file was changed or is broken.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { chmodSync, closeSync, copyFileSync, mkdirSync, mkdtempSync, openSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync, writeSync } from 'node:fs';
import path from 'node:path';
import { after, test } from 'node:test';
import { root, run } from './instance.mjs';

const data = mkdtempSync('/tmp/rb-ledger-');
const file = path.join(data, 'ledger/ledger.sqlite');
after(() => rmSync(data, { recursive: true, force: true }));

const ribalta = (...words) => run(path.join(root, 'scripts/ribalta'), [...words, '--data', data]);
const kTransfers = 3000;

function sqlite(statement) {
  const { status, stderr } = spawnSync('sqlite3', [file, statement], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
}

test('where there is no ledger yet, that is said', async () => {
  const { code, stderr } = await ribalta('ledger', 'verify');
  assert.equal(code, 1);
  assert.match(stderr, /no ledger in this data folder yet.*--data or --database/);
});

test('verify, statement and export of three thousand transfers', async () => {
  mkdirSync(path.dirname(file), { recursive: true });
  const { status, stderr } = spawnSync(path.join(root, 'build/asan/bin/ribalta-ledger-load'), ['rate', `sqlite:${file}`, '--transfers', String(kTransfers), '--hot'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);

  const verified = await ribalta('ledger', 'verify', '--json');
  assert.equal(verified.code, 0, verified.stderr);
  const { transfers, lines, hash } = JSON.parse(verified.stdout);
  assert.equal(transfers, kTransfers);
  assert.match((await ribalta('ledger', 'verify')).stdout, /^The ledger is whole: \d+ lines/);

  const bank = '00000000000000000000000000000001';
  const statement = (await ribalta('ledger', 'statement', bank, '--limit', String(2 * kTransfers), '--json')).stdout.trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(statement.length, kTransfers);
  assert.equal(statement.reduce((sum, line) => sum + line.change_minor, 0), statement[0].posted_minor);
  assert.match((await ribalta('ledger', 'statement', bank)).stdout, new RegExp(`^account ${bank}  EUR, grows on debit\nposted ${statement[0].posted_minor}, `));
  for (const form of [[], ['--csv'], ['--json']]) {
    assert.match((await ribalta('ledger', 'statement', bank, ...form)).stderr, /^These are the latest 50 lines; the account has earlier ones: --limit/);
    const all = await ribalta('ledger', 'statement', bank, '--limit', String(kTransfers), ...form);
    assert.deepEqual([all.code, all.stderr], [0, '']);
  }
  for (const none of ['2026-11-31', '26-11-27', '']) assert.equal((await ribalta('ledger', 'statement', bank, '--until', none)).code, 2, none);
  assert.match((await ribalta('ledger', 'statement', bank, '--until', '2999-01-01')).stdout, /\(minor units\) at 2999-01-01T23:59:59\.999Z\n/);
  const unknown = await ribalta('ledger', 'statement', 'f'.repeat(32));
  assert.equal(unknown.code, 1);
  assert.match(unknown.stderr, /There is no account/);

  // As docs/ledger.md says how anybody can.
  const { stdout } = await ribalta('ledger', 'export', '--json');
  let before = '0'.repeat(64);
  for (const text of stdout.trim().split('\n')) {
    const row = JSON.parse(text);
    const line = /"line":(\{.*\})\}$/.exec(text)[1];
    assert.equal(createHash('sha256').update(`${before}\n${line}`).digest('hex'), row.hash);
    before = row.hash;
  }
  assert.equal(before, hash);
  const csv = (await ribalta('ledger', 'export', '--csv')).stdout.trim().split('\r\n');
  assert.equal(csv.length, lines + 1);
  // What has moved, as docs/ledger.md counts it.
  const moved = csv.slice(1).map((row) => row.split(',')).filter((cells) => cells[3] === 'created' && ['direct', 'post_pending', 'reversal'].includes(cells[2]));
  assert.equal(String(moved.reduce((sum, cells) => sum + Number(cells[10]), 0)), JSON.parse(verified.stdout).moved_minor.EUR);
  const nothing = await ribalta('ledger', 'export', '--after', String(lines));
  assert.deepEqual([nothing.code, nothing.stdout, nothing.stderr], [0, '', '']);
  const behind = await ribalta('ledger', 'export', '--csv', '--after', String(lines + 1));
  assert.deepEqual([behind.code, behind.stdout], [1, '']);
  assert.match(behind.stderr, new RegExp(`no line ${lines + 1} yet: this ledger ends with ${lines}\\.`));
  assert.equal((await ribalta('ledger', 'export', '--after', '9223372036854775807')).code, 2);

  assert.match((await ribalta('ledger', 'verify', '--noted', `${lines}:${hash}`)).stdout, new RegExp(`^Line ${lines} is as it was noted\\.$`, 'm'));
  assert.equal((await ribalta('ledger', 'verify', '--noted', '')).code, 2, 'a note that was lost is no check');
  assert.equal((await ribalta('ledger', 'verify', '--noted', `${lines}:${hash.toUpperCase()}`)).code, 0);
  assert.equal((await ribalta('ledger', 'verify', '--noted', `${lines}:${'x'.repeat(64)}`)).code, 2);
  const noted = await ribalta('ledger', 'verify', '--noted', `${lines}:${'0'.repeat(64)}`);
  assert.equal(noted.code, 1);
  assert.match(noted.stderr, /NOT in order.*noted/);
});

test('what is no ledger is left as it is, and nobody who reads keeps the owner out', async () => {
  for (const [name, bytes] of [['empty', ''], ['text', 'no database\n'.repeat(100)]]) {
    const other = path.join(data, name);
    writeFileSync(other, bytes);
    const { code, stderr } = await ribalta('ledger', 'verify', '--database', `sqlite:${other}`);
    assert.equal(code, 1);
    assert.match(stderr, /There is no ledger in .*: it is no SQLite database with a write-ahead log/);
    assert.equal(readFileSync(other, 'utf8'), bytes);
  }
  const foreign = path.join(data, 'foreign.sqlite');
  assert.equal(spawnSync('sqlite3', [foreign, 'CREATE TABLE theirs (x)']).status, 0);
  const before = readFileSync(foreign);
  assert.match((await ribalta('ledger', 'verify', '--database', `sqlite:${foreign}`)).stderr, /There is no ledger/);
  assert.deepEqual(readFileSync(foreign), before);
  assert.match((await ribalta('ledger', 'verify', '--database', 'postgresql:secret words')).stderr, /key=value pairs, or a URL(?!.*secret)/);
  assert.match((await ribalta('ledger', 'verify', '--database', 'postgresql://nobody@127.0.0.1:1/none')).stderr, /port 1 failed: Connection refused/);

  if (process.getuid() !== 0) return;
  for (const [folder, mode] of [[data, 0o755], [path.dirname(file), 0o777], [file, 0o644]]) chmodSync(folder, mode);
  // Where nobody but root may look into the checkout, its program is copied to where they may.
  const program = path.join(data, 'ribalta-ledger');
  copyFileSync(path.join(root, 'build/asan/bin/ribalta-ledger'), program);
  chmodSync(program, 0o755);
  const { status, stderr } = spawnSync(program, ['verify', '--data', data], { encoding: 'utf8', uid: 65534, gid: 65534 });
  assert.equal(status, 1);
  assert.match(stderr, /is another's or read-only: .*Ask as its owner or as root, or read a copy/);
  assert.deepEqual(readdirSync(path.dirname(file)).filter((name) => /-(wal|shm)$/.test(name)), []);
});

test('a ledger that was changed is told from one that cannot be read', async () => {
  sqlite('UPDATE journal SET minor = minor + 1 WHERE sequence = 12000');
  const changed = await ribalta('ledger', 'verify');
  assert.equal(changed.code, 1);
  assert.match(changed.stderr, /^The ledger is NOT in order\. .*12000/);
  sqlite('UPDATE journal SET minor = minor - 1 WHERE sequence = 12000');
  assert.equal((await ribalta('ledger', 'verify')).code, 0);

  sqlite('CREATE TABLE kept AS SELECT * FROM journal WHERE sequence = 12000; DELETE FROM journal WHERE sequence = 12000');
  for (const form of ['--json', '--csv']) {
    const exported = await ribalta('ledger', 'export', form);
    assert.equal(exported.code, 1);
    assert.match(exported.stderr, /NOT in order: there is no line 12000\b/);
  }
  sqlite('INSERT INTO journal SELECT * FROM kept; DROP TABLE kept');
  assert.equal((await ribalta('ledger', 'export')).code, 0);

  sqlite('PRAGMA wal_checkpoint(TRUNCATE)');
  const pages = statSync(file).size / 4096;
  const opened = openSync(file, 'r+');
  for (let page = Math.floor(pages / 3); page < pages; page += 1) writeSync(opened, Buffer.alloc(4096, 0xff), 0, 4096, page * 4096);
  closeSync(opened);
  const broken = await ribalta('ledger', 'verify');
  assert.equal(broken.code, 1);
  assert.match(broken.stderr, /^The ledger could not be checked to its end\. /);
});
