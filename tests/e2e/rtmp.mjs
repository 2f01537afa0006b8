// RTMP as an encoder speaks it, and as nobody should: bytes put together by hand, sent from any address of the loopback.
import net from 'node:net';
import { readFileSync } from 'node:fs';

const be = (bytes, value) => {
  const out = Buffer.alloc(bytes);
  out.writeUIntBE(value, 0, bytes);
  return out;
};

/** Message types (RTMP 1.0 §5.4, §7.1). */
export const type = { chunkSize: 1, userControl: 4, windowSize: 5, audio: 8, video: 9, command: 20 };

/** C0, C1 without a digest, and C2. */
export const handshake = Buffer.concat([be(1, 3), Buffer.alloc(2 * 1536)]);

/** One message as chunks: a type 0 header, then type 3; a time over 24 bits is extended in each. */
export function message(chunkStream, kind, body, { time = 0, stream = 0, size = 128 } = {}) {
  const clock = time >>> 0;
  const extended = clock >= 0xffffff ? be(4, clock) : Buffer.alloc(0);
  const id = Buffer.alloc(4);
  id.writeUInt32LE(stream);
  const parts = [be(1, chunkStream), be(3, extended.length ? 0xffffff : clock), be(3, body.length), be(1, kind), id, extended];
  for (let at = 0; at < body.length; at += size) {
    if (at > 0) parts.push(be(1, 0xc0 | chunkStream), extended);
    parts.push(body.subarray(at, at + size));
  }
  return Buffer.concat(parts);
}

/** A message's first chunk as it is announced, with whatever follows. */
export const announced = (chunkStream, kind, length, body) =>
  Buffer.concat([be(1, chunkStream), be(3, 0), be(3, length), be(1, kind), Buffer.from([1, 0, 0, 0]), body]);

export const amf = {
  number: (value) => {
    const out = Buffer.alloc(9);
    out.writeDoubleBE(value, 1);
    return out;
  },
  text: (value) => Buffer.concat([be(1, 2), be(2, Buffer.byteLength(value)), Buffer.from(value)]),
  nothing: Buffer.from([5]),
  object: (properties) => Buffer.concat([be(1, 3), ...Object.entries(properties).flatMap(([name, value]) => [be(2, name.length), Buffer.from(name), amf.text(value)]), Buffer.from([0, 0, 9])]),
};
export const command = (stream, name, transaction, ...values) =>
  message(3, type.command, Buffer.concat([amf.text(name), amf.number(transaction), ...values]), { stream });
export const connect = command(0, 'connect', 1, amf.object({ app: 'live', flashVer: 'test' }));
export const createStream = command(0, 'createStream', 2, amf.nothing);
export const publishCommand = (key) => command(1, 'publish', 3, amf.nothing, amf.text(key), amf.text('live'));
export const chunkSize = (size) => message(2, type.chunkSize, be(4, size));
export const windowSize = (size) => message(2, type.windowSize, be(4, size));

/** A socket that says what a test says, and keeps what it hears. */
export class Line {
  /** @param from  the address that it comes from: 127.0.0.0/8 is all ours. */
  static async open(port, from = '127.0.0.1') {
    const line = new Line();
    line.heard = Buffer.alloc(0);
    line.socket = net.connect({ host: '127.0.0.1', port, localAddress: from, noDelay: true });
    line.ended = new Promise((resolve) => line.socket.once('close', resolve));
    line.socket.on('error', () => {}); // a reset is one way to be closed
    line.socket.on('data', (bytes) => line.#hear(bytes));
    line.waiting = [];
    await new Promise((resolve) => {
      line.socket.once('connect', resolve);
      line.socket.once('close', resolve);
    });
    return line;
  }
  #hear(bytes) {
    // What is waited for is a word of an answer; what is far behind is not it.
    this.heard = Buffer.concat([this.heard, bytes]).subarray(-16_384);
    this.waiting = this.waiting.filter(({ word, resolve }) => !this.heard.includes(word) || resolve(true));
  }
  /** Resolves once the bytes are with the system; at once when the other side has closed. */
  send(...bytes) {
    return new Promise((resolve) => {
      if (this.socket.destroyed) return resolve();
      this.socket.once('close', resolve);
      this.socket.write(Buffer.concat(bytes), () => resolve());
    });
  }
  /** True once this was heard, false when the line ended before. */
  hears(word) {
    if (this.heard.includes(word)) return Promise.resolve(true);
    return new Promise((resolve) => {
      this.waiting.push({ word, resolve });
      this.ended.then(() => resolve(false));
    });
  }
  /** Says that nothing more comes. */
  hangUp() {
    this.socket.end();
  }
  cut() {
    this.socket.destroy();
  }
}

/** The tags of an FLV file: {kind, time, body}. */
export function flvTags(file) {
  const bytes = readFileSync(file);
  const tags = [];
  for (let at = 13; at + 11 <= bytes.length; ) {
    const size = bytes.readUIntBE(at + 1, 3);
    const time = bytes.readUIntBE(at + 4, 3) + bytes[at + 7] * 2 ** 24;
    tags.push({ kind: bytes[at], time, body: bytes.subarray(at + 11, at + 11 + size) });
    at += 11 + size + 4;
  }
  return tags;
}

/** Sends tags in their time, each stamped with what `clock` makes of it. Ends with the last, or when it is stopped. */
export class Sender {
  static async begin(port, key, from) {
    const sender = new Sender();
    sender.line = await Line.open(port, from);
    await sender.line.send(handshake, connect, createStream, publishCommand(key));
    if (!(await sender.line.hears('NetStream.Publish.Start'))) throw new Error(`not let in: ${sender.line.heard.subarray(-300).toString('latin1')}`);
    return sender;
  }
  async send(tags, clock = (time) => time) {
    const begun = Date.now();
    for (const { kind, time, body } of tags) {
      if (kind !== type.audio && kind !== type.video) continue;
      const early = begun + time - Date.now();
      if (early > 0) await new Promise((resolve) => setTimeout(resolve, early)); // media have their time
      await this.line.send(message(kind === type.audio ? 4 : 6, kind, body, { time: clock(time, kind), stream: 1 }));
    }
  }
  async stop() {
    this.line.hangUp();
    await this.line.ended;
  }
}
