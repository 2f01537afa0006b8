// What an operator types, and what comes of it: every --help, refusals in one sentence, who wins (options, file, guesses),
// TLS, ports of root, the set-up link, and Ctrl-C while things are under way.
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { appendFileSync, chmodSync, chownSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { after, test } from 'node:test';
import { clip, Instance, nothingRuns, root, run, until } from './instance.mjs';

const isRoot = process.getuid() === 0;
const script = (name) => path.join(root, 'scripts', name);
const program = (name) => path.join(root, 'build/release/bin', name);
const folders = [];
const folder = () => {
  folders.push(mkdtempSync('/tmp/rb-'));
  return folders.at(-1);
};
after(() => folders.forEach((made) => rmSync(made, { recursive: true, force: true })));

/** One clear sentence on standard error, and no success. */
function refused({ code, stderr }, sentence) {
  assert.notEqual(code, 0);
  assert.match(stderr, sentence);
  assert.equal(stderr.trim().split('\n').length, 1, `one sentence: ${stderr}`);
}

/** A certificate for localhost, its key for the caller alone. */
function certificate() {
  const at = folder();
  const [cert, key] = [path.join(at, 'cert.pem'), path.join(at, 'key.pem')];
  const { status, stderr } = spawnSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost', '-keyout', key, '-out', cert], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  chmodSync(at, 0o700);
  chmodSync(key, 0o600);
  return { cert, key };
}

/** GET without checking the certificate: status, headers, body. */
function get(url) {
  return new Promise((resolve, reject) => {
    const request = (url.startsWith('https:') ? https : http).get(url, { rejectUnauthorized: false }, (answer) => {
      let body = '';
      answer.on('data', (bytes) => (body += bytes));
      answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, body }));
    });
    request.on('error', reject);
  });
}

test('every script, program and verb says its usage', async () => {
  for (const name of ['up', 'test', 'bench', 'tidy', 'check']) {
    const { code, stdout } = await run(script(name), ['--help']);
    assert.equal(code, 0, name);
    assert.match(stdout, new RegExp(`^usage: scripts/${name}\\b`));
  }
  for (const verb of ['', 'upload', 'user', 'user add', 'user password', 'stream-key', 'status', 'ledger', 'ledger verify', 'ledger statement', 'ledger export', 'config', 'config check']) {
    const words = verb.split(' ').filter(Boolean);
    const { code, stdout } = await run(script('ribalta'), [...words, '--help']);
    assert.equal(code, 0, verb);
    assert.match(stdout, /^usage: ribalta /);
    if (verb) assert.match(stdout.split('\n')[0], new RegExp(`ribalta ${words[0]}`));
    assert.equal((await run(program('ribalta-client'), [...words, '--help'])).stdout, stdout, `${verb}: script and program say the same`);
  }
  for (const name of ['control', 'packager', 'ingest', 'transcode']) {
    assert.match((await run(program(`ribalta-${name}`), ['--help'])).stdout, /--check/);
  }
  const farm = await run(program('ribalta-transcode'), ['--help']);
  assert.match(farm.stdout, /ribalta-transcode probe/);
  assert.match(farm.stdout, /ribalta-transcode file FILE FOLDER/);
  for (const verb of ['probe', 'file']) {
    const { code, stdout } = await run(program('ribalta-transcode'), [verb, '--help']);
    assert.equal(code, 0);
    assert.match(stdout, new RegExp(`^usage: ribalta-transcode ${verb}`));
    assert.equal((await run(program('ribalta-transcode'), [verb, '--nonsense'])).code, 2);
  }
});

test('ribalta says its usage without a build, and what to do for the rest', async () => {
  const at = folder();
  mkdirSync(path.join(at, 'scripts'));
  mkdirSync(path.join(at, 'client'));
  cpSync(script('ribalta'), path.join(at, 'scripts/ribalta'));
  cpSync(path.join(root, 'client/usage.txt'), path.join(at, 'client/usage.txt'));
  const copy = (...words) => run(path.join(at, 'scripts/ribalta'), words);
  assert.match((await copy('--help')).stdout, /^usage: ribalta \[--data DIR\] VERB/);
  assert.match((await copy('upload', '--help')).stdout, /--wait/);
  const bare = await copy();
  assert.equal(bare.code, 2);
  assert.match(bare.stderr, /^usage: ribalta/);
  refused(await copy('status'), /not built yet/);
});

test('ribalta without an instance says so in a sentence', async () => {
  const data = folder();
  for (const words of [['status'], ['stream-key'], ['user', 'add', 'lucia'], ['upload', '/etc/hostname']]) {
    refused(await run(script('ribalta'), ['--data', data, ...words]), /No instance has run in \/tmp\/rb-.*scripts\/up/);
  }
  refused(await run(script('ribalta'), ['--data', data, 'config', 'check']), /There is no .*ribalta\.toml/);
});

test('scripts/bench and scripts/test list what they have', async () => {
  const benches = (await run(script('bench'), ['--list'])).stdout.trim().split('\n');
  for (const name of benches) assert.ok(existsSync(path.join(root, 'tests/bench', `${name}.mjs`)), name);
  assert.deepEqual([...benches].sort(), ['edge', 'feed', 'feed-quality', 'ingest', 'ladder', 'latency', 'ledger', 'package', 'unit-costs', 'upload']);
  refused(await run(script('bench'), ['nonsense']), /There is no bench nonsense/);
  refused(await run(script('bench'), ['--nonsense']), /Unknown option --nonsense/);
  refused(await run(script('test'), ['--nonsense']), /Unknown option --nonsense/);
  refused(await run(script('tidy'), ['--minutes', 'x']), /--minutes takes a number/);
  const { row } = await import('../bench/report.mjs');
  assert.deepEqual(row('cpu/a', 's', [1, 2, 3], [2, 2, 2], 'p'), { name: 'cpu/a', unit: 's', ours: 2, peer: 2, peer_name: 'p', ratio: 1, min: 0.5, max: 1.5 });
  assert.deepEqual(row('p50/b', 'ms', [4]), { name: 'p50/b', unit: 'ms', ours: 4, peer: null, peer_name: null, ratio: null, min: 4, max: 4 });
});

test('up refuses in one sentence what can not work', async () => {
  const up = (...words) => run(script('up'), words, { timeout: 30_000 });
  const other = folder();
  writeFileSync(path.join(other, 'letter.txt'), 'mine');
  refused(await up('--data', other), /holds other things, such as letter\.txt/);
  assert.equal(statSync(path.join(other, 'letter.txt')).uid, process.getuid());
  refused(await up('--data', folder(), '--listen', '192.0.2.1'), /192\.0\.2\.1 is no address of this machine/);
  refused(await up('--data', folder(), '--cert', '/etc/hostname', '--key', '/etc/hostname'), /holds none/);
  refused(await up('--data'), /--data needs a value/);
  refused(await up('--data='), /--data needs a value/);
  refused(await up('--port', '0'), /--port takes a number/);

  const spaced = path.join(folder(), 'with a space');
  mkdirSync(spaced);
  cpSync(path.join(root, 'scripts'), path.join(spaced, 'scripts'), { recursive: true });
  refused(await run(path.join(spaced, 'scripts/up'), []), /checkout's path may hold letters, digits/);
  assert.match((await run(path.join(spaced, 'scripts/up'), ['--help'])).stdout, /^usage: scripts\/up/);

  if (isRoot && Number(readFileSync('/proc/sys/net/ipv4/ip_unprivileged_port_start', 'utf8')) > 900) {
    const nobody = folder();
    chmodSync(nobody, 0o777);
    refused(await run('setpriv', ['--reuid=nobody', '--regid=nogroup', '--clear-groups', script('up'), '--data', nobody, '--port', '900']), /Port 900 is under \d+ and needs root/);
  }
});

test('a wrong configuration is told with its lines before anything starts, and config check says the same', { timeout: 180_000 }, async () => {
  const data = folder();
  writeFileSync(path.join(data, 'ribalta.toml'), '[control]\nlocale = "fr"\n\n[ingest]\ntls_cert = "/none/cert.pem"\nrtmp_port = 70000\n\n[transcode]\nvod_preset = "warp"\n\n[pakager]\n');
  const { code, stderr } = await run(script('up'), ['--data', data, '--port', '23960']);
  assert.notEqual(code, 0);
  const complaints = [/ribalta\.toml:2: control\.locale: en or it, not fr/, /ribalta\.toml:5: ingest\.tls_cert: goes with ingest\.tls_key/, /ribalta\.toml:9: transcode\.vod_preset: .*warp/, /ribalta\.toml:11: pakager: there is no such section/, /nothing was started/];
  for (const complaint of complaints) assert.match(stderr, complaint);
  assert.equal(stderr.match(/pakager/g).length, 1, 'what all daemons read is said once');
  assert.ok(!existsSync(path.join(data, 'run/services')));
  const check = await run(script('ribalta'), ['--data', data, 'config', 'check']);
  assert.equal(check.code, 1);
  for (const complaint of complaints.slice(0, -1)) assert.match(check.stderr, complaint);
  assert.match(check.stdout, /control +wrong/);
});

test('the file wins over guesses and options over the file; the set-up link opens once; TLS; ports of root', { timeout: 200_000 }, async () => {
  const data = folder();
  writeFileSync(path.join(data, 'ribalta.toml'), `[node]\ndata = "${data}"\n\n[control]\nregistration = "closed"\nsite_url = "https://videos.example.invalid"\n`);
  // Start 1: no options but the port.
  const instance = new Instance();
  Object.assign(instance, { data, name: 'operator', port: 23940, options: [] });
  const at = (port) => `http://127.0.0.1:${port}`;
  const start = async (options) => {
    instance.options = options;
    instance.process = spawn(script('up'), ['--data', data, '--port', String(instance.port), ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    instance.output = '';
    for (const stream of [instance.process.stdout, instance.process.stderr]) stream.on('data', (bytes) => (instance.output += bytes));
    instance.exited = new Promise((resolve) => instance.process.on('exit', resolve));
    await until('up is ready', () => {
      if (instance.process.exitCode !== null) throw new Error(instance.output);
      return /Stop +Ctrl-C/.test(instance.output);
    }, 60_000);
    instance.endpoints = JSON.parse(readFileSync(path.join(data, 'endpoints.json'), 'utf8'));
  };
  await start([]);
  assert.equal(instance.endpoints.site, 'https://videos.example.invalid/');
  assert.match(instance.output, /Site +https:\/\/videos\.example\.invalid\//);
  assert.equal(JSON.parse((await get(`${at(23940)}/api/v1/instance`)).body).registration, 'closed');
  assert.equal((await get(`${at(23940)}/`)).headers['strict-transport-security'], undefined);
  const link = /https:\/\/videos\.example\.invalid\/setup#\S+/.exec(instance.output)?.[0];
  assert.ok(link, instance.output);
  const status = await instance.cli(['status']);
  assert.equal(status.code, 0, `the site's name leads nowhere, its socket here: ${status.stderr}`);
  if (isRoot) {
    for (const pid of [instance.process.pid, instance.pid('edge'), instance.pid('control')]) assert.notEqual(statSync(`/proc/${pid}`).uid, 0, 'nothing of it is root any more');
  }
  appendFileSync(path.join(data, 'ribalta.toml'), 'locale = "fr"\n');
  const check = await instance.cli(['config', 'check']);
  assert.equal(check.code, 1);
  assert.match(check.stderr, /ribalta\.toml:7: control\.locale/);
  writeFileSync(path.join(data, 'ribalta.toml'), readFileSync(path.join(data, 'ribalta.toml'), 'utf8').replace('locale = "fr"\n', ''));
  assert.equal(await instance.stop({ keep: true }), 130);
  refused(await instance.cli(['status']), /does not answer \(.*Start it with: scripts\/up --data/);

  // Start 2: --open over the file, TLS with a key for its owner alone, and under root a port that only root may bind.
  const { cert, key } = certificate();
  if (isRoot) {
    chownSync(key, 0, 0);
    instance.port = 940;
  }
  await start(['--open', '--cert', cert, '--key', key]);
  const secure = `https://127.0.0.1:${instance.port}`;
  assert.equal(JSON.parse((await get(`${secure}/api/v1/instance`)).body).registration, 'open');
  assert.match((await get(`${secure}/`)).headers['strict-transport-security'], /max-age=\d+/);
  assert.match((await get(`${secure}/live/none/index.m3u8`)).headers['strict-transport-security'], /max-age=\d+/);
  assert.equal(statSync(path.join(data, 'secrets/tls_key.pem')).mode & 0o777, 0o600);
  assert.match(instance.output, /with TLS +rtmps:\/\//);
  if (isRoot) {
    const bind = (service) => Number(BigInt(`0x${/CapEff:\s*(\w+)/.exec(readFileSync(`/proc/${instance.pid(service)}/status`, 'utf8'))[1]}`) >> 10n) & 1;
    assert.deepEqual(['edge', 'ingest', 'control', 'packager', 'transcode', 'redis'].map(bind), [1, 1, 0, 0, 0, 0]);
  }
  assert.ok(instance.output.includes(link), 'the unused link is printed again');
  const setup = () => new Promise((resolve, reject) => {
    const body = JSON.stringify({ token: link.split('#')[1], name: 'anna', password: 'correct horse' });
    const request = https.request(`${secure}/api/v1/setup`, { method: 'POST', rejectUnauthorized: false, headers: { 'Content-Type': 'application/json', 'Content-Length': body.length } }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    request.on('error', reject);
    request.end(body);
  });
  assert.equal(await setup(), 201);
  assert.equal(await setup(), 409, 'it opens once');

  // The command over the instance's own socket: the certificate is for another name.
  const good = await clip(path.join(folder(), 'good.mp4'), { seconds: 2, size: '320x180' });
  const bad = path.join(folder(), 'bad.mp4');
  writeFileSync(bad, 'not a video');
  const uploaded = await instance.cli(['upload', good, bad, '/none.mp4', '--wait', '--json'], { timeout: 90_000 });
  assert.equal(uploaded.code, 1);
  const objects = uploaded.stdout.trim().split('\n').map((line) => JSON.parse(line));
  for (const object of objects) assert.deepEqual(Object.keys(object), ['file', 'video', 'state', 'kind', 'reason', 'seconds', 'hls', 'dash']);
  assert.deepEqual(objects.map(({ file, state }) => [file, state]), [[good, 'ready'], [bad, 'failed'], ['/none.mp4', 'failed']]);
  assert.match(objects[0].hls, /index\.m3u8$/);
  assert.match(objects[0].dash, /index\.mpd$/);
  assert.deepEqual([objects[0].kind, objects[0].reason, objects[1].hls, objects[2].video], [null, null, null, null]);
  assert.ok(objects[1].reason && objects[1].video && objects[2].kind === 'unreadable');
  assert.equal(await instance.stop({ keep: true }), 130);

  // Start 3: the link is gone for good.
  instance.port = 23940;
  await start([]);
  assert.doesNotMatch(instance.output, /setup#/);
  await instance.stop();
});

test('links that the daemons\' user plants in the data folder lead root nowhere', { timeout: 60_000, skip: isRoot ? false : 'only root can be led' }, async () => {
  const instance = await Instance.start('links');
  await instance.stop({ keep: true });
  const { data } = instance;
  const victim = path.join(folder(), 'victim');
  writeFileSync(victim, 'root\'s');
  const { uid, gid } = statSync(path.join(data, 'ribalta.toml'));
  assert.notEqual(uid, 0);
  const planted = ['endpoints.json', 'endpoints.json.new', 'run/environment', 'run/nginx.conf', 'logs/supervisor/current', 'secrets/tls_key.pem.new', 'run/demo_live', 'secrets/node.new'];
  for (const name of planted) {
    rmSync(path.join(data, name), { force: true });
    const linked = spawnSync('setpriv', [`--reuid=${uid}`, `--regid=${gid}`, '--clear-groups', 'ln', '-s', victim, path.join(data, name)]);
    assert.equal(linked.status, 0, name);
  }
  // Whether it starts with them or refuses: what they lead to stays as it is, and root's.
  const up = spawn(script('up'), ['--data', data, '--port', String(instance.port)], { stdio: 'ignore' });
  const ended = new Promise((resolve) => up.on('exit', resolve));
  await until('up is up, or has refused', () => up.exitCode !== null || (existsSync(path.join(data, 'endpoints.json')) && statSync(path.join(data, 'endpoints.json')).size > 100), 40_000);
  up.kill('SIGINT');
  await ended;
  assert.equal(readFileSync(victim, 'utf8'), 'root\'s');
  assert.equal(statSync(victim).uid, 0);
  rmSync(data, { recursive: true, force: true });
});

test('a signal ends what is under way, with all that it started', { timeout: 120_000 }, async () => {
  // A step of the build: its group ends with us, also when the signal is for us alone.
  const at = folder();
  const words = `. ${script('lib/common.sh')}; busy() { sleep 987 & sleep 988 | tee -i ${at}/log; }; run_job busy`;
  const step = spawn('bash', ['-c', words], { stdio: 'ignore' });
  const stepEnded = new Promise((resolve) => step.on('exit', (code, signal) => resolve(code ?? signal)));
  await until('the step is busy', () => existsSync(path.join(at, 'log')));
  step.kill('SIGINT');
  const hung = setTimeout(() => step.kill('SIGKILL'), 20_000);
  assert.equal(await stepEnded, 130);
  clearTimeout(hung);
  assert.equal(spawnSync('pgrep', ['-f', '^sleep 98[78]$']).status, 1);

  // While services start, and while the demo's clips are made.
  for (const [options, when] of [[[], /Starting/], [['--demo'], /clip 1 of/]]) {
    const data = folder();
    const up = spawn(script('up'), ['--data', data, '--port', '23960', ...options], { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [up.stdout, up.stderr]) stream.on('data', (bytes) => (output += bytes));
    const ended = new Promise((resolve) => up.on('exit', resolve));
    await until(String(when), () => {
      if (up.exitCode !== null) throw new Error(output);
      return when.test(output);
    }, 60_000, 10);
    up.kill('SIGINT');
    assert.equal(await ended, 130, output);
    assert.match(output, /Stopped\. Everything is in/);
    await nothingRuns(data);
  }
});
