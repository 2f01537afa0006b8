// Publishers from hell at the door of a whole instance: each is refused with a reason in the log, ingest's memory does not
// grow, and a publisher who is on meanwhile notices nothing. Odd clocks become lives that hold against `ribalta check`.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Instance, clip, publish, run, until } from './instance.mjs';
import { media, multivariant } from './hls.mjs';
import { Line, Sender, amf, announced, chunkSize, command, connect, createStream, flvTags, handshake, message, publishCommand, type, windowSize } from './rtmp.mjs';

/** Deadlines of the door (ingest/rtmp/limits.h, ingest/door/guard.h), and what a machine with little to spare adds. */
const limitMs = 60_000;
const MiB = 1024 * 1024;

// What is encoded beside a source is another suite's; here the machine is left to ingest.
process.env.RIBALTA_CONTROL_LIVE_RUNGS_MAX = '0';

let instance; // for strangers
let port;
let folder;
before(() => {
  folder = mkdtempSync(path.join(tmpdir(), 'rb-hostile-'));
});
after(() => rmSync(folder, { recursive: true, force: true }));

const log = () => instance.log('ingest');
/** Resident bytes of the ingest daemon now. */
function rss(of = instance, pid = of.pid('ingest')) {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)[1]) * 1024;
}
/** What a metric of ingest stands at. */
async function metric(name, of = instance) {
  const { stdout } = await run('curl', ['-sf', '--unix-socket', path.join(of.data, 'run/ingest.sock'), 'http://ingest/metrics']);
  return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(stdout)?.[1] ?? 0);
}
/** The stream that was let in from an address. */
const acceptedFrom = (address) => new RegExp(`publish accepted.*stream="?([0-9a-z]{16}).*address="?${address.replaceAll('.', '\\.')}\\b`).exec(log())?.[1];
/** The key of an account that exists then. */
async function keyOf(name, instance) {
  const { code, stdout, stderr } = await instance.cli(['user', 'add', name]);
  assert.equal(code, 0, stderr);
  const key = await instance.cli(['stream-key', name]);
  assert.equal(key.code, 0, key.stderr);
  return key.stdout.trim().split(/\s+/).at(-1);
}

/** Ingest's memory over time: the most that it was while `work` went on. */
async function most(work, of = instance) {
  const pid = of.pid('ingest');
  let peak = rss(of, pid);
  const looking = setInterval(() => (peak = Math.max(peak, rss(of, pid))), 50);
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

/** Opens `count` connections that say nothing, `each` from one address; how many the door held when all had come. */
async function idle(count, each, network) {
  const lines = [];
  for (let i = 0; i < count; i += 250) {
    lines.push(...(await Promise.all(Array.from({ length: 250 }, (_, n) => {
      const address = Math.floor((i + n) / each);
      return Line.open(port, `127.${network}.${address >> 7}.${1 + (address & 0x7f)}`);
    }))));
  }
  const held = await metric('ribalta_ingest_connections');
  await Promise.all(lines.map(({ ended }) => ended));
  return held;
}

/** Memory once connections have ended: what they left free goes back to the system in two steps. */
async function settled(of, connections) {
  const last = await Line.open(of.endpoints.ports?.rtmp ?? of.port + 1, '127.8.0.1'); // whose end is the newest
  last.cut();
  await until('the door is empty', async () => (await metric('ribalta_ingest_connections', of)) <= connections, limitMs);
  const trims = await metric('ribalta_ingest_memory_trims_total', of);
  await until('memory was given back', async () => (await metric('ribalta_ingest_memory_trims_total', of)) >= trims + 2, limitMs);
  return rss(of);
}

/** A publisher who takes no answers from the wire, and asks for 16 bytes of them for each that it sends. */
async function readsNothing(sender) {
  const from = log().length;
  sender.line.socket.pause();
  await sender.line.send(windowSize(1), message(4, type.audio, Buffer.alloc(0), { stream: 1 }));
  const flood = Buffer.alloc(MiB, 0xc4);
  while (!sender.line.socket.destroyed && !/does not read what it is told/.test(log().slice(from))) {
    await Promise.race([sender.line.send(flood), new Promise((resolve) => setTimeout(resolve, 1000))]); // how often the log is looked at
  }
  sender.line.cut();
  assert.match(log().slice(from), /the client does not read what it is told/);
}

// Two instances side by side: most of the time is deadlines that pass. `scripts/up` may build, so one starts after the other.
let firstTried;
const firstIsUp = new Promise((resolve) => (firstTried = resolve));
describe('publishers from hell', { concurrency: true }, () => {
  describe('strangers', { concurrency: false }, () => {
    let publisher; // who is on meanwhile
    before(async () => {
      instance = await Instance.start('hostile').finally(firstTried);
      port = instance.endpoints.ports?.rtmp ?? instance.port + 1;
      publisher = publish(`${instance.endpoints.rtmp}/${instance.endpoints.stream_key}`, { size: '160x90', rate: 10, gop: 20 });
    }, { timeout: 600_000 });
    after(async () => {
      await publisher?.kill();
      await instance?.stop();
    });

    describe('each', { concurrency: true }, () => {
      test('is refused with a reason that stands in the log', { timeout: 600_000 }, async () => {
        const before = log().length;
        await allCome(1, 1);
        for (const [i, [who, [reason]]] of Object.entries(strangers).entries()) {
          const line = await until(`a line on ${who}`, () => log().slice(before).split('\n').find((each) => each.includes(`address=127.1.${i}.1 `)), limitMs);
          assert.match(line, reason, who);
        }
        // From here on all code has run once, and as many were here at once as may be: what grows later would go on growing.
        await Promise.all([allCome(20, 2), idle(1500, 32, 3)]);
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
          'sound that begins late': [small.filter((tag) => tag.kind !== type.audio || isHeader(tag) || tag.time >= 8000), (time) => time, 1],
        };
        const seen = await Promise.all(Object.entries(traces).map(async ([name, [tags, clock]], i) => {
          const key = await keyOf(`trace${i}`, instance);
          const sender = await Sender.begin(port, key, `127.6.0.${i + 1}`);
          t.after(() => sender.line.cut());
          const stream = await until(`the stream of ${name}`, () => acceptedFrom(`127.6.0.${i + 1}`));
          await sender.send(tags, clock);
          const { stdout, stderr } = await instance.cli(['check', '--json', instance.url(`/l/${stream}`)]);
          const live = await instance.api('GET', `/lives/${stream}`);
          const { variants, audio } = await multivariant(instance.url(live.hls));
          const playlists = await Promise.all([...variants, ...audio].map(({ url }) => media(url)));
          await sender.stop();
          return { name, stdout, stderr, playlists };
        }));
        for (const { name, stdout, stderr, playlists } of seen) {
          const { findings } = JSON.parse(stdout || `{"findings":[${JSON.stringify({ rule: 'nothing was checked', what: stderr })}]}`);
          // The lists of a live keep the size that it began with.
          const kept = name === 'another size' ? ['resolution', 'hls-dash'] : [];
          assert.deepEqual(findings.filter(({ rule }) => rule !== 'stale' && !kept.includes(rule)), [], name);
          for (const { segments, discontinuitySequence } of playlists) {
            assert.equal(discontinuitySequence + segments.filter(({ discontinuity }) => discontinuity).length, traces[name][2], `${name}: breaks`);
            assert.deepEqual(segments.filter(({ gap }) => gap), [], name);
          }
        }
      });
    });

    test('by the thousand cost no memory, and a publisher who is on notices nothing', { timeout: 900_000 }, async (t) => {
      const key = await keyOf('reader', instance);
      const stream = await until('the stream of who is on', () => (publisher.mustRun(), acceptedFrom('127.0.0.1')), limitMs);
      const live = await until('the live is listed', () => instance.liveNow(stream), 90_000);
      const { variants, audio } = await multivariant(instance.url(live.hls));
      const tracks = [...variants, ...audio].map(({ url }) => url);
      for (const url of tracks) await until(`segments in ${url}`, async () => (publisher.mustRun(), (await media(url)).segments.length >= 3), 90_000);
      const base = await settled(instance, 1);
      const followed = instance.cli(['check', '--json', '--follow', '30', instance.url(`/l/${live.stream}`)], { timeout: 300_000 });

      const begun = Date.now();
      const linesBefore = log().split('\n').length;
      const one = await most(() => idle(10_000, 10_000, 4));
      const many = await most(() => idle(10_000, 32, 5));
      const sender = await Sender.begin(port, key, '127.7.0.1');
      const visits = await most(async () => (await Promise.all([allCome(20, 6), readsNothing(sender)]))[0]);
      const lines = log().split('\n').length - linesBefore;
      const periods = Math.ceil((Date.now() - begun) / 10_000) + 1;
      const grown = () => rss() - base;
      await until(`memory is back at ${base}`, () => grown() < MiB, limitMs, 500).catch(() => {}); // said below, with the numbers
      const growth = grown();
      t.diagnostic(JSON.stringify({ base, one: { held: one.result, more: one.peak - base }, many: { held: many.result, more: many.peak - base }, visits: { count: visits.result, more: visits.peak - base }, growth, lines, periods }));
      assert.ok(one.result <= 32 + 1, `${one.result} connections of one address`);
      assert.ok(one.peak - base < MiB, `10 000 connections of one address: ${one.peak - base} bytes more`);
      assert.ok(many.result <= 1000, `${many.result} connections in all`);
      assert.ok(many.peak - base < 16 * MiB, `as many connections as may be: ${many.peak - base} bytes more`);
      assert.ok(visits.peak - base < 16 * MiB, `${visits.result} strangers at once, and one who reads nothing: ${visits.peak - base} bytes more`);
      assert.ok(growth < MiB, `memory has grown by ${growth} bytes`);
      assert.ok(lines <= 130 * periods, `${lines} lines of log in ${periods} periods`);
      assert.match(log(), /connection refused address=127\.4\.0\.1 reason="limit: connections of one client: more than 32"/);
      assert.match(log(), /connections: more than 1000/);
      assert.match(log(), /connections ended as told before client=/);

      publisher.mustRun();
      const { stdout, stderr } = await followed;
      assert.deepEqual(JSON.parse(stdout || `{"findings":[${JSON.stringify(stderr)}]}`).findings.filter(({ rule }) => rule !== 'stale'), []);
      for (const url of tracks) {
        const { discontinuitySequence, segments } = await media(url);
        assert.equal(discontinuitySequence, 0);
        assert.deepEqual(segments.filter(({ gap, discontinuity }) => gap || discontinuity), []);
      }
      assert.equal(publisher.log, '', 'the encoder complained');
    });
  });

  test('after the last publisher has left, memory is back within a tenth of idle', { timeout: 600_000 }, async (t) => {
    await firstIsUp;
    const own = await Instance.start('hostile-memory');
    t.after(() => own.stop());
    const fresh = rss(own);
    const file = await clip(path.join(folder, 'rich.mp4'), { size: '1280x720', rate: 30, seconds: 5, extra: ['-g', '60', '-b:v', '4M', '-minrate', '4M', '-maxrate', '4M', '-bufsize', '4M', '-x264-params', 'nal-hrd=cbr'] });
    const keys = [];
    for (let i = 0; i < 6; i++) keys.push(await keyOf(`many${i}`, own));
    /** Publishers with these keys until each has sent so much; resolves when they have left. */
    const come = async (bytes) => {
      const publishers = keys.map((key) => {
        const child = spawn('ffmpeg', ['-nostdin', '-v', 'warning', '-re', '-stream_loop', '-1', '-i', file, '-c', 'copy', '-f', 'flv', `${own.endpoints.rtmp}/${key}`], { stdio: 'ignore' });
        t.after(() => child.kill('SIGKILL'));
        return { child, exited: new Promise((resolve) => child.once('exit', resolve)) };
      });
      const sent = await metric('ribalta_ingest_media_bytes_total', own);
      const { peak } = await most(() => until('they have sent it', async () => (await metric('ribalta_ingest_media_bytes_total', own)) >= sent + bytes * keys.length, limitMs), own);
      assert.equal(await metric('ribalta_ingest_publishing', own), keys.length);
      for (const { child } of publishers) child.kill('SIGINT');
      await Promise.all(publishers.map(({ exited }) => exited));
      await until('none publishes', async () => (await metric('ribalta_ingest_publishing', own)) === 0, limitMs);
      return peak;
    };
    await come(2_000_000); // from here on its code is in memory, and what it keeps for the next (connections to the other rooms)
    const idleRss = await settled(own, 0);
    const peak = await come(6_000_000);
    const left = Date.now();
    await until(`memory is back from ${peak} to ${idleRss} and a tenth`, () => rss(own) <= idleRss * 1.1, 2 * limitMs, 500);
    t.diagnostic(JSON.stringify({ fresh, idle: idleRss, peak, after: rss(own), ms: Date.now() - left }));
    assert.ok(peak > idleRss * 1.5, `publishers needed no memory: ${idleRss}, ${peak}`);
  });
});
