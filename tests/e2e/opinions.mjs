// Second opinions beside `ribalta check`: parsers that other people wrote read what the instance serves (m3u8-parser and
// mpd-parser of Video.js, GPAC's mp4box.js, ffprobe), and must understand the same from it.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { run } from './instance.mjs';
import { text } from './hls.mjs';

const require = createRequire(import.meta.url);
const { Parser } = require('m3u8-parser');
const mpdParser = require('mpd-parser');
const mp4box = require('mp4box');

async function bytes(url) {
  const answer = await fetch(url);
  assert.ok(answer.ok, `${url}: ${answer.status}`);
  return answer.arrayBuffer();
}

/** A playlist as m3u8-parser has it; a warning is an error here. */
async function playlist(url) {
  const parser = new Parser();
  for (const kind of ['warn', 'error']) parser.on(kind, ({ message }) => assert.fail(`m3u8-parser, ${url}: ${message}`));
  parser.push(await text(url));
  parser.end();
  return parser.manifest;
}

/** The tracks of an init segment and the samples behind it, as mp4box.js reads them. */
async function tracks(init, segments) {
  const file = mp4box.createFile();
  let info;
  let samples = 0;
  file.onError = (error) => assert.fail(`mp4box, ${init}: ${error}`);
  file.onReady = (ready) => {
    info = ready;
    for (const { id } of ready.tracks) file.setExtractionOptions(id, null, { nbSamples: 1 });
    file.start();
  };
  file.onSamples = (id, user, some) => (samples += some.length);
  let at = 0;
  for (const url of [init, ...segments]) {
    const part = await bytes(url);
    part.fileStart = at;
    at += part.byteLength;
    file.appendBuffer(part);
  }
  file.flush();
  assert.ok(info, `mp4box read no moov from ${init}`);
  assert.equal(info.isFragmented, true);
  assert.equal(info.tracks.length, 1, 'one track in each file');
  return { codec: info.tracks[0].codec, kind: info.tracks[0].type, width: info.tracks[0].video?.width, samples };
}

/** What the multivariant playlist offers, each rendition with its media playlist. */
async function readHls(url) {
  const master = await playlist(url);
  const out = [];
  for (const { uri, attributes } of master.playlists) out.push({ kind: 'video', attributes, url: new URL(uri, url).href });
  for (const group of Object.values(master.mediaGroups.AUDIO ?? {})) {
    for (const { uri } of Object.values(group)) if (uri) out.push({ kind: 'audio', url: new URL(uri, url).href });
  }
  for (const one of out) one.media = await playlist(one.url);
  return out;
}

const urlsOf = ({ url, media }) => media.segments.filter(({ gap }) => !gap).map(({ uri }) => new URL(uri, url).href);

/**
 * Reads both formats with these parsers. A live's two manifests are two instants: there, segments that both have are compared.
 * @returns how much they looked into: {renditions, segments}
 */
export async function secondOpinions({ hls, dash }) {
  const renditions = await readHls(hls);
  assert.ok(renditions.length >= 1, 'm3u8-parser found no rendition');
  let segments = 0;
  const known = new Map();
  for (const one of renditions) {
    assert.ok(one.media.segments.length > 0, `m3u8-parser found no segment in ${one.url}`);
    for (const segment of one.media.segments) {
      assert.ok(Math.round(segment.duration) <= one.media.targetDuration, `EXTINF ${segment.duration} over ${one.media.targetDuration} in ${one.url}`);
      known.set(new URL(segment.uri, one.url).href, segment.duration);
    }
    const maps = new Set(one.media.segments.filter(({ map }) => map).map(({ map }) => new URL(map.uri, one.url).href));
    for (const map of maps) {
      const of_map = urlsOf(one).filter((url, i) => new URL(one.media.segments.filter(({ gap }) => !gap)[i].map.uri, one.url).href === map);
      const read = await tracks(map, of_map);
      assert.equal(read.kind, one.kind, `mp4box takes ${map} for ${read.kind}`);
      assert.ok(read.samples > 0, `mp4box found no sample behind ${map}`);
      if (one.attributes) assert.ok(one.attributes.CODECS.toLowerCase().includes(read.codec.toLowerCase()), `mp4box says ${read.codec}, CODECS ${one.attributes.CODECS}`);
      segments += of_map.length;
    }
  }
  const warnings = [];
  const manifest = mpdParser.parse(await text(dash), { manifestUri: dash, eventHandler: ({ type, message }) => type === 'warn' && warnings.push(message) });
  // mpd-parser only reads: UTCTiming with urn:mpeg:dash:utc:http-iso is for the player to follow.
  assert.deepEqual(warnings, [], 'mpd-parser warns');
  const playlists = [...manifest.playlists, ...Object.values(manifest.mediaGroups.AUDIO ?? {}).flatMap((group) => Object.values(group).flatMap((one) => one.playlists))];
  const found = new Map();
  for (const one of playlists) for (const { resolvedUri, duration } of one.segments) found.set(resolvedUri, duration);
  const both = [...found.keys()].filter((url) => known.has(url));
  assert.ok(both.length > 0, 'HLS and DASH name no segment in common');
  for (const url of both) assert.ok(Math.abs(found.get(url) - known.get(url)) < 0.002, `${url} lasts ${known.get(url)} s in HLS, ${found.get(url)} s in DASH`);
  if (renditions.every(({ media }) => media.endList)) assert.deepEqual([...found.keys()].sort(), [...known.keys()].sort(), 'HLS and DASH name the same segments');
  for (const url of [hls, dash]) {
    const probed = await run('ffprobe', ['-v', 'error', '-show_entries', 'stream=codec_type', '-of', 'csv=p=0', url], { timeout: 60_000 });
    assert.equal(probed.code, 0, probed.stderr);
    assert.equal(probed.stderr.trim(), '', `ffprobe complains of ${url}`);
    const kinds = new Set(probed.stdout.trim().split('\n').map((line) => line.replaceAll(',', '')));
    for (const { kind } of renditions) assert.ok(kinds.has(kind), `ffprobe finds no ${kind} in ${url}`);
  }
  return { renditions: renditions.length, segments };
}
