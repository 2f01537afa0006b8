// Just enough of HLS to look at what the instance serves, independent of its own code.

export async function text(url) {
  const answer = await fetch(url);
  if (!answer.ok) throw Object.assign(new Error(`${url}: ${answer.status}`), { status: answer.status });
  return answer.text();
}

const attributes = (line) => Object.fromEntries([...line.matchAll(/([A-Z0-9-]+)=("[^"]*"|[^,]*)/g)].map(([, key, value]) => [key, value.replace(/^"|"$/g, '')]));

/** @returns {variants: [{url, bandwidth, …}], audio: [{url}]} of a multivariant playlist. */
export async function multivariant(url) {
  const lines = (await text(url)).split('\n');
  const out = { variants: [], audio: [] };
  lines.forEach((line, i) => {
    if (line.startsWith('#EXT-X-STREAM-INF:')) out.variants.push({ ...attributes(line), url: new URL(lines[i + 1], url).href });
    if (line.startsWith('#EXT-X-MEDIA:')) {
      const found = attributes(line);
      if (found.TYPE === 'AUDIO' && found.URI) out.audio.push({ ...found, url: new URL(found.URI, url).href });
    }
  });
  return out;
}

/** @returns {sequence, discontinuitySequence, target, ended, segments: [{url, duration, discontinuity, gap, map, time}]} */
export async function media(url) {
  const out = { sequence: 0, discontinuitySequence: 0, target: 0, ended: false, segments: [] };
  let next = {};
  let map;
  for (const line of (await text(url)).split('\n')) {
    if (line.startsWith('#EXT-X-MEDIA-SEQUENCE:')) out.sequence = Number(line.split(':')[1]);
    else if (line.startsWith('#EXT-X-DISCONTINUITY-SEQUENCE:')) out.discontinuitySequence = Number(line.split(':')[1]);
    else if (line.startsWith('#EXT-X-TARGETDURATION:')) out.target = Number(line.split(':')[1]);
    else if (line.startsWith('#EXT-X-ENDLIST')) out.ended = true;
    else if (line === '#EXT-X-DISCONTINUITY') next.discontinuity = true;
    else if (line === '#EXT-X-GAP') next.gap = true;
    else if (line.startsWith('#EXT-X-MAP:')) map = new URL(attributes(line).URI, url).href;
    else if (line.startsWith('#EXT-X-PROGRAM-DATE-TIME:')) next.time = Date.parse(line.slice(line.indexOf(':') + 1));
    else if (line.startsWith('#EXTINF:')) next.duration = Number.parseFloat(line.slice(8));
    else if (line && !line.startsWith('#')) {
      out.segments.push({ ...next, map, url: new URL(line, url).href });
      next = {};
    }
  }
  return out;
}
