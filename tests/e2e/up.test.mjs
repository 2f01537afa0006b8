// scripts/up as an operator meets it: what it refuses, what it prints and writes, how it stops and starts again.
import assert from 'node:assert/strict';
import { mkdtempSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { test } from 'node:test';
import { Instance, nothingRuns, root, run } from './instance.mjs';

const up = (...options) => run(path.join(root, 'scripts/up'), options, { timeout: 60_000 });

test('it says in one sentence what is wrong with its options', async () => {
  const cases = [
    [['--port', 'x'], /--port takes a number/],
    [['--port', '65530'], /--port takes a number/],
    [['--nonsense'], /Unknown option --nonsense/],
    [['--data', `/tmp/${'long/'.repeat(30)}`, '--port', '23000'], /too long for a socket/],
    [['--cert', '/etc/hostname', '--data', '/tmp/rb-x', '--port', '23000'], /--cert and --key go together/],
    [['--listen', 'everywhere', '--data', '/tmp/rb-x', '--port', '23000'], /--listen takes an address/],
  ];
  for (const [options, sentence] of cases) {
    const { code, stderr } = await up(...options);
    assert.notEqual(code, 0, options.join(' '));
    assert.match(stderr, sentence);
    assert.equal(stderr.trim().split('\n').length, 1, `one sentence: ${stderr}`);
  }
  assert.match((await up('--help')).stdout, /usage: scripts\/up/);
});

test('it refuses a port that is taken, and says which', async () => {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  const { code, stderr } = await up('--data', mkdtempSync('/tmp/rb-'), '--port', String(port));
  assert.notEqual(code, 0);
  assert.match(stderr, new RegExp(`Port ${port} is taken`));
  await new Promise((resolve) => server.close(resolve));
});

test('it starts, writes endpoints.json for its owner alone, stops cleanly, keeps its state, and a second one is refused', { timeout: 170_000 }, async () => {
  const instance = await Instance.start('up');
  const { endpoints, data } = instance;
  assert.equal(statSync(path.join(data, 'endpoints.json')).mode & 0o777, 0o600);
  for (const key of ['site', 'rtmp', 'stream_key', 'admin_token', 'ports', 'logs']) assert.ok(endpoints[key], key);
  assert.match(instance.output, /setup#/);
  assert.match(await (await fetch(endpoints.site)).text(), /<div id="app"/);

  const second = await up('--data', data, '--port', String(instance.port));
  assert.notEqual(second.code, 0);
  assert.match(second.stderr, /already running/);

  const status = await instance.cli(['status']);
  assert.equal(status.code, 0, status.stderr);
  assert.equal((await instance.cli(['config', 'check'])).code, 0);
  const added = await instance.cli(['user', 'add', 'lucia']);
  assert.equal(added.code, 0, added.stderr);

  const code = await instance.stop({ keep: true });
  assert.equal(code, 130, instance.output);
  await nothingRuns(data);

  await instance.up();
  assert.equal(instance.endpoints.stream_key, endpoints.stream_key, 'the first creator keeps the key');
  assert.equal((await instance.api('GET', '/admin/users/lucia')).user.name, 'lucia');
  await instance.stop();
});
