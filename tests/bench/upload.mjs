// 1 GiB from curl onto the disk: a resumable upload (tus) in one PATCH through the site's nginx into the object store, beside
// a PUT into nginx with its dav module. Ours answers when the file is synced; the peer's answer comes before, so that there
// is a row with a sync behind it too. UPLOAD_ROUNDS, UPLOAD_MB.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, openSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Instance, freePorts, run } from '../e2e/instance.mjs';
import { costing, nginxHead, nginxHttp, startNginx, stopService } from './processes.mjs';
import { machine, print, row, version } from './report.mjs';

const rounds = Number(process.env.UPLOAD_ROUNDS ?? 3);
const megabytes = Number(process.env.UPLOAD_MB ?? 1024);
const bytes = megabytes * 2 ** 20;
const folder = mkdtempSync(path.join(tmpdir(), 'ribalta-upload-'));
const say = (text) => process.stderr.write(`${text}\n`);

/** curl sends `file`; fails unless the answer is one of `good`. */
async function send(file, url, options, good) {
  const { stdout, stderr, code } = await run('curl', ['-sS', '-o', '/dev/null', '-w', '%{http_code}', '--http1.1', '-H', 'Expect:', '-T', file, ...options, url], { timeout: 600_000 });
  if (code !== 0 || !good.includes(stdout)) throw new Error(`curl: ${stdout} ${stderr}`);
}

/** Nothing that was written before is still on its way to the disk. */
const settle = () => execFileSync('sync');

const file = path.join(folder, 'file');
execFileSync('head', ['-c', String(bytes), '/dev/urandom'], { stdio: ['ignore', openSync(file, 'w'), 'inherit'] });
const instance = await Instance.start('bench-upload');
let nginx;
try {
  await stopService(instance, 'transcode'); // what comes of the file is another bench's
  const token = await instance.userToken();
  const headers = { 'Tus-Resumable': '1.0.0', Authorization: `Bearer ${token}` };
  const home = path.join(folder, 'peer');
  mkdirSync(path.join(home, 'files'), { recursive: true });
  const port = await freePorts(1);
  writeFileSync(path.join(home, 'nginx.conf'), `${nginxHead(home)}
http {${nginxHttp(home)}
  server { listen 127.0.0.1:${port}; root ${home}/files; client_max_body_size 0; location / { dav_methods PUT; } }
}
`);
  nginx = await startNginx(path.join(home, 'nginx.conf'), async () => (await fetch(`http://127.0.0.1:${port}/`)).status > 0);
  const pids = { data: ['edge', 'ingest'].map((service) => instance.pid(service)), rest: ['control', 'packager', 'redis'].map((service) => instance.pid(service)) };

  const ours = async () => {
    const made = await fetch(instance.url('/files/'), { method: 'POST', headers: { ...headers, 'Upload-Length': String(bytes), 'Upload-Metadata': `filename ${Buffer.from('bench.mp4').toString('base64')}` } });
    if (made.status !== 201) throw new Error(`POST /files/: ${made.status} ${await made.text()}`);
    const url = new URL(made.headers.get('location'), instance.url('/')).href;
    settle();
    const fields = Object.entries({ ...headers, 'Upload-Offset': '0', 'Content-Type': 'application/offset+octet-stream' }).flatMap(([name, value]) => ['-H', `${name}: ${value}`]);
    const cost = await costing([...pids.data, ...pids.rest], () => send(file, url, ['-X', 'PATCH', ...fields], ['204']));
    const object = path.join(instance.data, 'store/uploads', url.split('/').at(-1));
    if (statSync(object).size !== bytes) throw new Error('the object is not whole');
    execFileSync('cmp', [file, object]);
    rmSync(object);
    return { cpu: cost.cpu, seconds: cost.seconds };
  };
  const peer = async () => {
    const target = path.join(home, 'files/bench.mp4');
    settle();
    const cost = await costing([nginx.pid], () => send(file, `http://127.0.0.1:${port}/bench.mp4`, [], ['201', '204']));
    const synced = performance.now();
    execFileSync('sync', [target]);
    const sync = (performance.now() - synced) / 1000;
    execFileSync('cmp', [file, target]);
    rmSync(target);
    return { cpu: cost.cpu, seconds: cost.seconds, synced: cost.seconds + sync };
  };
  const results = { ours: [], peer: [] };
  for (let round = 0; round < rounds; ++round) {
    for (const [side, measure] of [['ours', ours], ['peer', peer]]) results[side].push(await measure());
    say(`round ${round + 1} of ${rounds}`);
  }
  const peerName = `${version('/usr/sbin/nginx', '-v').replace('nginx version: ', '')}, dav PUT`;
  const rate = (list, key) => list.map((one) => bytes / 1e6 / one[key]);
  print([
    row('cpu/upload', 's', results.ours.map(({ cpu }) => cpu), results.peer.map(({ cpu }) => cpu), peerName),
    row('rate/upload-until-synced', 'MB/s', rate(results.ours, 'seconds'), rate(results.peer, 'synced'), `${peerName}, then sync`),
    row('rate/upload-until-answered', 'MB/s', rate(results.ours, 'seconds'), rate(results.peer, 'seconds'), `${peerName}, not synced`),
  ], process.argv.includes('--json'));
  say(`${machine()}; ${megabytes} MiB, ${version('curl', '--version').split(' (')[0]}, ${rounds} rounds; CPU of all our daemons, not of curl`);
} finally {
  await nginx?.stop();
  await instance.stop();
  rmSync(folder, { recursive: true, force: true });
}
