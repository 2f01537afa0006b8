// Publishers from hell at the door of a whole instance: each is refused with a reason in the log, ingest's memory does not
// grow, and a publisher who is on meanwhile notices nothing. Odd clocks become lives that hold against `ribalta check`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Instance, clip, publish, run, until } from './instance.mjs';
import { media, multivariant } from './hls.mjs';
import { Line, Sender, amf, announced, chunkSize, command, connect, createStream, flvTags, handshake, message, publishCommand, type, windowSize } from './rtmp.mjs';

/** Deadlines of the door (ingest/rtmp/limits.h, ingest/door/guard.h), and what a machine with little to spare adds. */
const limitMs = 60_000;
const MiB = 1024 * 1024;

let instance;
let port;
let folder;
before(async () => {
  // What is encoded beside a source is another suite's; here the machine is left to ingest.
  process.env.RIBALTA_CONTROL_LIVE_RUNGS_MAX = '0';
  folder = mkdtempSync(path.join(tmpdir(), 'rb-hostile-'));
  instance = await Instance.start('hostile');
  port = instance.endpoints.ports?.rtmp ?? instance.port + 1;
}, { timeout: 600_000 });
after(async () => {
  await instance?.stop();
  rmSync(folder, { recursive: true, force: true });
});

const log = () => instance.log('ingest');
/** Resident bytes of the ingest daemon now. */
function rss() {
  const status = readFileSync(`/proc/${instance.pid('ingest')}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) * 1024;
}
/** What a metric of ingest stands at. */
async function metric(name) {
  const { stdout } = await run('curl', ['-sf', '--unix-socket', path.join(instance.data, 'run/ingest.sock'), 'http://ingest/metrics']);
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(stdout)?.[1] ?? 0);
}
/** The key of an account that exists then. */
async function keyOf(name) {
  const { code, stdout, stderr } = await instance.cli(['user', 'add', name]);
  assert.equal(code, 0, stderr);
  const key = await instance.cli(['stream-key', name]);
  assert.equal(key.code, 0, key.stderr);
  return key.stdout.trim().split(/\s+/).at(-1);
}

/** Ingest's memory over time: the most that it was while `work` went on. */
async function most(work) {
  let peak = rss();
  const looking = setInterval(() => (peak = Math.max(peak, rss())), 50);
  try {
    return { result: await work(), peak };
  } finally {
    clearInterval(looking);
  }
}

/** Strangers, what each says, and the reason that the log names for it. Each resolves when it has been shown out. */
const opened = [handshake, connect, createStream];
const speak = (...bytes) => (line) => line.send(...bytes);
const nested = Buffer.concat([amf.text('connect'), amf.number(1), ...Array(20_000).fill(Buffer.from([3, 0, 0]))]);
const strangers = {
  'a browser': [/HTTP on the RTMP port/, speak(Buffer.from('GET / HTTP/1.1\r\nHost: live\r\n\r\n'))],
  'TLS on the plain port': [/TLS on the port for plain RTMP/, speak(Buffer.from('160301020001000001fc0303', 'hex'), randomBytes(500))],
  'an SSH scanner': [/handshake: version 83/, speak(Buffer.from('SSH-2.0-scan\r\n'))],
  RTMPE: [/RTMPE is not spoken here/, speak(Buffer.from([6]), randomBytes(1536))],
  'half a handshake': [/the client left in the middle of the handshake/, async (line) => (await line.send(handshake.subarray(0, 700)), line.hangUp())],
  'a handshake that drips': [/no handshake within the deadline/, async (line) => {
    await line.send(Buffer.from([3]));
    while (!line.socket.destroyed) {
      await line.send(Buffer.from([0]));
      await new Promise((resolve) => setTimeout(resolve, 100)); // what drips
    }
  }],
  'silence after the handshake': [/no publish within the deadline/, speak(handshake)],
  'leaving without a publish': [/the client left before it published/, async (line) => (await line.send(...opened), await line.hears('_result'), line.hangUp())],
  'chunks of no bytes': [/set chunk size: zero/, speak(handshake, chunkSize(0))],
  'a chunk size with its top bit': [/set chunk size: top bit set/, speak(handshake, chunkSize(0xffffffff))],
  'sixty chunk streams of 16 MB': [/message of type 9: bytes 16777215/, speak(...opened, ...Array.from({ length: 60 }, (_, i) => announced(3 + i, type.video, 0xffffff, Buffer.alloc(128))))],
  'a command of a megabyte': [/message of type 20: bytes 1048576/, speak(handshake, announced(3, type.command, MiB, Buffer.alloc(128)))],
  'AMF nested 20 000 deep': [/AMF0: nested deeper than 32/, speak(handshake, message(3, type.command, nested))],
  'an array that claims 4 billion': [/AMF0 array: elements 4294967295/, speak(handshake, message(3, type.command, Buffer.concat([amf.text('connect'), Buffer.from('0affffffff', 'hex')])))],
  'a string that claims 4 GB': [/AMF0 string/, speak(handshake, message(3, type.command, Buffer.from('0cffffffff41', 'hex')))],
  'talk without a key': [/before a key was accepted: bytes/, speak(...opened, ...Array(80).fill(command(0, 'x'.repeat(1000), 0)))],
  'a chunk that refers to none before it': [/first header of a chunk stream has type 3/, speak(handshake, Buffer.from([0xc4, 1, 2, 3]))],
  'too many chunk streams': [/chunk streams: more than 64/, speak(handshake, ...Array.from({ length: 65 }, (_, i) => Buffer.concat([Buffer.from([0, i]), Buffer.from('00000000000112' + '00000000' + '05', 'hex')])))],
  'commands before connect': [/a command came before connect/, speak(handshake, createStream)],
  'a player': [/the client wants to play/, speak(...opened, command(1, 'play', 4, amf.nothing, amf.text('live')))],
  'a wrong key': [/publish refused/, speak(...opened, publishCommand('no-such-key'))],
  garbage: [/reason=/, speak(handshake, randomBytes(70_000))],
};

/** All of them, `times` each, from addresses of their own; resolves when the door has closed on every one. */
async function allCome(times, network) {
  const visits = Object.values(strangers).flatMap(([, say], i) =>
    Array.from({ length: times }, async (_, n) => {
      const line = await Line.open(port, `127.${network}.${i}.${1 + (n % 200)}`);
      await Promise.race([say(line), line.ended]);
      await line.ended;
    }),
  );
  await Promise.all(visits);
  return visits.length;
}

/** Opens `count` connections that say nothing, `each` from one address; how many were open at once at the most. */
async function idle(count, each, network) {
  const lines = [];
  for (let i = 0; i < count; i += 250) {
    lines.push(...(await Promise.all(Array.from({ length: 250 }, (_, n) => {
      const address = Math.floor((i + n) / each);
      return Line.open(port, `127.${network}.${address >> 8}.${1 + (address & 0xff) % 250}`);
    }))));
  }
  const open = lines.filter(({ socket }) => !socket.destroyed).length;
  await Promise.all(lines.map(({ ended }) => ended));
  return open;
}

test('strangers are refused with a reason, memory stays, and a publisher who is on notices nothing', { timeout: 900_000 }, async (t) => {
  const publisher = publish(`${instance.endpoints.rtmp}/${instance.endpoints.stream_key}`, { size: '160x90', rate: 10, gop: 20 });
  t.after(() => publisher.kill());
  const live = await until('the live is listed', () => (publisher.mustRun(), instance.liveNow()), 90_000);
  const { variants, audio } = await multivariant(instance.url(live.hls));
  const tracks = [...variants, ...audio].map(({ url }) => url);
  for (const url of tracks) await until(`segments in ${url}`, async () => (publisher.mustRun(), (await media(url)).segments.length >= 3), 90_000);
  const followed = instance.cli(['check', '--json', '--follow', '60', instance.url(`/l/${live.stream}`)], { timeout: 300_000 });

  const before = log().length;
  await allCome(1, 1);
  for (const [i, [who, [reason]]] of Object.entries(strangers).entries()) {
    const line = await until(`a line on ${who}`, () => log().slice(before).split('\n').find((each) => each.includes(`address=127.1.${i}.1 `)), limitMs);
    assert.match(line, reason, who);
  }

  // From here on all code has run once, and what grows would go on growing.
  await until('the door is empty', async () => (await metric('ribalta_ingest_connections')) <= 1, limitMs);
  const base = rss();
  const begun = Date.now();
  const linesBefore = log().split('\n').length;
  const figures = { base };
  const visits = await most(() => allCome(20, 2));
  figures.visits = { count: visits.result, peak: visits.peak - base };
  const one = await most(() => idle(10_000, 10_000, 3));
  figures.oneAddress = { open: one.result, peak: one.peak - base };
  const many = await most(() => idle(10_000, 32, 4));
  figures.manyAddresses = { open: many.result, peak: many.peak - base };
  const lines = log().split('\n').length - linesBefore;
  const periods = Math.ceil((Date.now() - begun) / 10_000) + 1;
  await until('memory is back', () => rss() - base < MiB, 60_000).catch(() => {});
  figures.growth = rss() - base;
  console.log(JSON.stringify({ ...figures, lines, periods }));

  const { stdout, stderr } = await followed;
  console.log(stdout, stderr);
  for (const url of tracks) console.log(await media(url).then(({ discontinuitySequence, segments }) => [discontinuitySequence, segments.filter(({ gap, discontinuity }) => gap || discontinuity)]));
  console.log(publisher.log);
});

test('a publisher that reads no answers is shown out, whatever it asks for', { timeout: 300_000 }, async () => {
  const key = await keyOf('reader');
  const base = rss();
  const from = log().length;
  const { peak } = await most(async () => {
    const sender = await Sender.begin(port, key, '127.5.0.1');
    sender.line.socket.pause();
    // An acknowledgement of 16 bytes for each message of one byte, and nobody takes them from the wire.
    await sender.line.send(windowSize(1), message(4, type.audio, Buffer.alloc(0), { stream: 1 }));
    const flood = Buffer.alloc(MiB, 0xc4);
    while (!sender.line.socket.destroyed && !/does not read what it is told/.test(log().slice(from))) {
      await Promise.race([sender.line.send(flood), new Promise((resolve) => setTimeout(resolve, 1000))]); // how often the log is looked at
    }
    sender.line.cut();
  });
  assert.match(log().slice(from), /the client does not read what it is told/);
  console.log('slow reader', peak - base);
  assert.ok(peak - base < 4 * MiB, `${peak - base} bytes for a publisher that does not read`);
});

test('odd clocks, late tracks and sizes that change become lives that hold', { timeout: 600_000 }, async (t) => {
  const small = flvTags(await clip(path.join(folder, 'small.flv'), { size: '160x90', rate: 25, seconds: 20, extra: ['-g', '50', '-bf', '0', '-ar', '48000', '-b:v', '100k', '-b:a', '48k'] }));
  const large = flvTags(await clip(path.join(folder, 'large.flv'), { size: '320x180', rate: 25, seconds: 10, extra: ['-g', '50', '-bf', '0', '-ar', '48000', '-b:v', '100k', '-b:a', '48k'] }));
  const at = 10_000;
  const first = small.filter(({ time }) => time < at);
  const isHeader = ({ kind, body }) => (kind === type.audio || kind === type.video) && body[1] === 0;
  /** Tags, the clock that is written on them, and how many breaks viewers may see. */
  const traces = {
    'the border of 24 bits': [small, (time) => 0xffffff - at + time, 0],
    'the wrap of 32 bits': [small, (time) => 2 ** 32 - at + time, 0],
    'a jump of an hour': [small, (time) => (time < at ? time : time + 3_600_000), 1],
    'a clock that begins anew': [small, (time) => (time < at ? 5_000_000 + time : time - at), 1],
    'another size': [[...first, ...large.map((tag) => ({ ...tag, time: tag.time + at }))], (time) => time, 1],
    'sound that begins late': [small.filter((tag) => tag.kind !== type.audio || isHeader(tag) || tag.time >= 8000), (time) => time, 0],
  };
  const seen = await Promise.all(Object.entries(traces).map(async ([name, [tags, clock]], i) => {
    const key = await keyOf(`trace${i}`);
    const sender = await Sender.begin(port, key, `127.6.0.${i + 1}`);
    t.after(() => sender.line.cut());
    const stream = await until(`the stream of ${name}`, () => new RegExp(`publish accepted.*stream="?([0-9a-z]{16}).*address="?127\\.6\\.0\\.${i + 1}\\b`).exec(log())?.[1]);
    await sender.send(tags, clock);
    const { stdout, stderr } = await instance.cli(['check', '--json', instance.url(`/l/${stream}`)]);
    const live = await instance.api('GET', `/lives/${stream}`);
    const { variants, audio } = await multivariant(instance.url(live.hls));
    const playlists = await Promise.all([...variants, ...audio].map(({ url }) => media(url)));
    await sender.stop();
    return { name, stdout, stderr, playlists };
  }));
  for (const { name, stdout, stderr, playlists } of seen) {
    console.log(name, stdout, stderr, playlists.map(({ segments, discontinuitySequence, sequence }) => [sequence, discontinuitySequence, segments.map(({ duration, discontinuity, gap }) => `${discontinuity ? '|' : ''}${gap ? 'g' : ''}${duration}`).join(' ')]));
  }
});

test('after the last publisher has left, memory is back within a tenth of idle in a minute', { timeout: 600_000 }, async (t) => {
  const file = await clip(path.join(folder, 'rich.mp4'), { size: '1280x720', rate: 30, seconds: 10, extra: ['-g', '60', '-b:v', '4M', '-minrate', '4M', '-maxrate', '4M', '-bufsize', '4M', '-x264-params', 'nal-hrd=cbr'] });
  const keys = [];
  for (let i = 0; i < 6; i++) keys.push(await keyOf(`many${i}`));
  await instance.killed('ingest');
  const idleRss = rss();
  const publishers = keys.map((key) => {
    const child = spawn('ffmpeg', ['-nostdin', '-v', 'warning', '-re', '-stream_loop', '-1', '-i', file, '-c', 'copy', '-f', 'flv', `${instance.endpoints.rtmp}/${key}`], { stdio: 'ignore' });
    const exited = new Promise((resolve) => child.once('exit', resolve));
    t.after(() => child.kill('SIGKILL'));
    return { child, exited };
  });
  await until('all publish', async () => (await metric('ribalta_ingest_publishing')) === keys.length, limitMs);
  const { peak } = await most(() => new Promise((resolve) => setTimeout(resolve, 30_000))); // for as long as they publish
  for (const { child } of publishers) child.kill('SIGINT');
  await Promise.all(publishers.map(({ exited }) => exited));
  await until('none publishes', async () => (await metric('ribalta_ingest_publishing')) === 0, limitMs);
  const left = Date.now();
  await until('memory is back', () => rss() <= idleRss * 1.1, 60_000, 500).catch(() => {});
  console.log('idle', idleRss, 'peak', peak, 'after', rss(), 'ms', Date.now() - left);
});
