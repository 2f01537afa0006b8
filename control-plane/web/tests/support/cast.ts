/** People, videos and broadcasts that several tests need. */
import type { components } from '../../src/api/schema';
import { id, lucia } from './instance';
import { makeMedia } from './media';

type Schemas = components['schemas'];

export const marco: Schemas['Author'] = { id: id(2), name: 'marco_dal_molo' };
export const teatro: Schemas['Author'] = { id: id(3), name: 'teatro' };
const titles = ['Sunset over the dunes, shot from the pier after the rain', 'Fractal dive', 'Sea light', 'Test card, square'];

/** As many public videos as wanted, the newest first: portrait, landscape, portrait, square, and again. */
export function clips(count: number): Schemas['Video'][] {
  const media = makeMedia();
  return Array.from({ length: count }, (_, at) => {
    const fixture = media[at % media.length]!;
    const when = new Date(Date.now() - (at + 1) * 3_700_000).toISOString();
    return {
      id: id(100 + at),
      title: titles[at % titles.length]!,
      author: [{ id: lucia.id, name: lucia.name }, marco, teatro][at % 3]!,
      visibility: 'public' as const,
      created: when,
      published: when,
      hls: `/v/${fixture.name}/index.m3u8`,
      dash: `/v/${fixture.name}/index.mpd`,
      poster: `/v/${fixture.name}/poster.jpg`,
      width: fixture.width,
      height: fixture.height,
      duration_ms: fixture.durationMs,
    };
  });
}

export function broadcast(author: Schemas['Author'] = teatro, state: Schemas['Live']['state'] = 'live'): Schemas['Live'] {
  return {
    stream: id(500),
    author: { id: author.id, name: author.name },
    title: 'Prove generali: il secondo atto',
    state,
    started: new Date(Date.now() - 800_000).toISOString(),
    hls: '/live/stage/index.m3u8',
    dash: '/live/stage/index.mpd',
  };
}

export function mine(n: number, state: Schemas['MyVideo']['state'], more: Partial<Schemas['MyVideo']> = {}): Schemas['MyVideo'] {
  return { id: id(n), title: `Clip ${n}`, visibility: 'public', created: new Date(Date.now() - n * 100_000).toISOString(), state, ...more };
}

export function work(state: Schemas['Work']['state'], more: Partial<Schemas['Work']> = {}): Schemas['Work'] {
  return { state, progress: 0, attempt: 1, filename: 'IMG_2231.MOV', bytes: 48_000_000, ...more };
}
