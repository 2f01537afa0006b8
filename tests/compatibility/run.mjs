// Every encoder against every player, through a whole instance: prints what was seen, and with --write makes
// docs/compatibility.md of it.
import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { version } from '../bench/report.mjs';
import { flashClip, flashTimes } from '../e2e/flash.mjs';
import { Instance, root, until } from '../e2e/instance.mjs';
import { encoders } from './encoders.mjs';
import { Browsers, ffmpegPlays, gstreamerPlays } from './players.mjs';
import { ffmpegLive } from './reference.mjs';
import { Tap, ownSkew } from './tap.mjs';

const write = process.argv.includes('--write');
/** `--encoder=NAME` and `--player=NAME`, each any number of times: parts of names; none: all. */
const some = (flag, names) => {
  const parts = process.argv.filter((argument) => argument.startsWith(`--${flag}=`)).map((argument) => argument.slice(flag.length + 3).toLowerCase());
  return parts.length === 0 ? names : names.filter((name) => parts.some((part) => name.toLowerCase().includes(part)));
};

const players = (browsers) => ({
  'hls.js': (media, options) => browsers.play('hls.js', media.hls, options),
  'Shaka Player, HLS': (media, options) => browsers.play('Shaka Player', media.hls, options),
  'Shaka Player, DASH': (media, options) => browsers.play('Shaka Player', media.dash, options),
  'dash.js': (media, options) => browsers.play('dash.js', media.dash, options),
  'FFmpeg, HLS': (media) => ffmpegPlays(media.hls),
  'FFmpeg, DASH': (media) => ffmpegPlays(media.dash),
  'GStreamer, HLS': (media) => gstreamerPlays(media.hls),
  'GStreamer, DASH': (media) => gstreamerPlays(media.dash),
});

const sign = (ms) => (ms > 0 ? `+${ms}` : `${ms}`.replace('-', '−'));
const cell = ({ ok, notes, skew, fault }) => fault ?? (ok ? `yes${skew === undefined ? '' : `, ${sign(Math.round(skew * 1000))} ms`}` : `no: ${notes.join('; ')}`.replaceAll('|', '/').replace(/http:\S+/g, '…').slice(0, 200));

const instance = await Instance.start('compatibility');
const browsers = await Browsers.start();
const all = players(browsers);
const columns = some('player', Object.keys(all));
const vod = 'video on demand';
const sources = some('encoder', [...Object.keys(encoders), vod]);
const rows = [];
let failed = 0;

/** What GStreamer does with a live MPD of FFmpeg's own, asked once. */
let reference;
async function gstreamerPlaysFfmpegs() {
  const live = await ffmpegLive();
  try {
    return (await gstreamerPlays(live.url)).ok;
  } finally {
    live.stop();
  }
}

/** Each player in turn; `sent`, once they are done: when the source flashed and beeped. */
async function row(name, media, options, sent) {
  const verdicts = [];
  for (const player of columns) {
    const verdict = await all[player](media, options);
    if (!verdict.ok && player === 'GStreamer, DASH' && options.live) {
      reference ??= await gstreamerPlaysFfmpegs();
      if (!reference) verdict.fault = 'no, nor FFmpeg’s own live MPD';
      console.log(`${name} → ${player}: ${verdict.notes.join('; ')}`);
    }
    console.log(`${name} → ${player}: ${cell(verdict)}`);
    verdicts.push(verdict);
  }
  const own = await sent();
  const title = options.live ? `${name} (${sign(Math.round(ownSkew(own) * 1000))} ms by itself)` : name;
  for (const [i, verdict] of verdicts.entries()) {
    verdict.judge(own);
    failed += verdict.ok || verdict.fault ? 0 : 1;
    if (verdict.fetched) console.log(`${title} → ${columns[i]}, sound and picture: ${cell(verdict)}`);
  }
  rows.push([title, ...verdicts.map(cell)]);
}

try {
  for (const [number, name] of sources.filter((source) => source !== vod).entries()) {
    // An account for each: the broadcast before ends by itself, after its grace period.
    const { user, stream_key: key } = await instance.api('POST', '/admin/users', { name: `encoder${number}` });
    const tap = await Tap.start(instance.endpoints.ports.rtmp);
    const encoder = await encoders[name](`${tap.server}/${key}`, { server: tap.server, key });
    const live = await until(`${name} is live`, async () => (await instance.api('GET', '/lives')).items.find(({ state, author }) => state === 'live' && author.name === user.name), 60_000);
    const media = { hls: instance.url(live.hls), dash: instance.url(live.dash) };
    await until('four segments', async () => (await (await fetch(new URL('src-v.m3u8', media.hls))).text()).split('#EXTINF').length > 4, 40_000);
    await row(`live, ${name}`, media, { live: true, size: 360 }, async () => {
      await encoder.stop();
      tap.stop();
      return tap.own(key);
    });
  }
  if (sources.includes(vod)) {
    const file = await flashClip('/tmp/rb-compatibility-vod.mp4', { size: '1280x720', seconds: 24, extra: ['-b:v', '3M'] });
    const uploaded = await instance.cli(['upload', '--wait', '--json', file]);
    const video = JSON.parse(uploaded.stdout.trim().split('\n').at(-1));
    if (video.state !== 'ready') throw new Error(uploaded.stdout);
    await row(vod, { hls: instance.url(video.hls), dash: instance.url(video.dash) }, { live: false, size: 720, steady: 5_000 }, () => flashTimes(file));
  }
} finally {
  await browsers.stop();
  await instance.stop();
}

if (write) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const versions = [browsers.version, version('ffmpeg', '-version').split(' ').slice(0, 3).join(' '), version('gst-launch-1.0', '--version'), version('obs', '--version')];
  writeFileSync(path.join(root, 'docs/compatibility.md'), `# Encoders and players

Written by \`scripts/compatibility --write\` from a real run: each encoder sends 640×360 at 30 frames/s with sound, each player plays
it. In Chromium that means: picture and sound, the top rung in its full size, eight seconds at the clock's pace without a stall,
the lowest rung and the top one again when chosen, no media error; for the video on demand also one buffered range after a jump.
Every encoder sends a flash and a beep in each second, through a relay that keeps what it sends. The number is how far the beep of
a second has moved against its flash between what the encoder sent and what the player fetched, in the worst rung and second (− is
early; a frame is 33 ms); the flashes are shown where the media has them.
FFmpeg decodes eight seconds without an error, GStreamer (uridecodebin3) 150 buffers of picture and of sound.

GStreamer 1.22 (and, as its source reads, later ones up to 1.28) plays no live MPD with a SegmentTimeline whose first segments
are gone, whoever makes it: when it seeks to the live edge, \`gst_mpd_client2_stream_seek\` adds the start of the first listed
segment to the time within it, and so waits for a segment about as far ahead as the live is old. Its HLS plays, and so does its
DASH on demand. The same run asks it for FFmpeg's live.

${line(['', ...columns])}
${line(['---', ...columns.map(() => '---')])}
${rows.map(line).join('\n')}

Versions: ${versions.join('; ')}; hls.js 1.7.4, Shaka Player 5.2.12, dash.js 5.2.1.
`);
}
console.log(failed === 0 ? 'every player plays all that it plays of others' : `${failed} did not`);
process.exitCode = failed === 0 ? 0 : 1;
