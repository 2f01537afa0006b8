// Whoever does the accounts, at a terminal: verify, statement, export of a ledger under load, and what each says when
// the file was changed or is broken.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, closeSync, rmSync, statSync, writeSync } from 'node:fs';
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
  assert.equal((await ribalta('ledger', 'statement', bank, '--until', '2026-11-31')).code, 2);
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

  assert.equal((await ribalta('ledger', 'verify', '--noted', `${lines}:${hash}`)).code, 0);
  assert.equal((await ribalta('ledger', 'verify', '--noted', `${lines}:${hash.toUpperCase()}`)).code, 0);
  assert.equal((await ribalta('ledger', 'verify', '--noted', `${lines}:${'x'.repeat(64)}`)).code, 2);
  const noted = await ribalta('ledger', 'verify', '--noted', `${lines}:${'0'.repeat(64)}`);
  assert.equal(noted.code, 1);
  assert.match(noted.stderr, /NOT in order.*noted/);
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
