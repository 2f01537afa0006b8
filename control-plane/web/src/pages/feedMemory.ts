import type { Video } from '../api/client';

/** Where somebody was in a feed, so that coming back from a profile does not begin it again. */
export interface Place {
  videos: Video[];
  cursor: string | undefined;
  complete: boolean;
  index: number;
  at: number;
}

/** After this long the newest videos are worth more than the old place, and private ones' tokens may have expired. */
const keptMs = 15 * 60_000;
let places = new Map<string, Place>();

export function leave(feed: string, place: Omit<Place, 'at'>, now: number): void {
  // One is enough: the feed that was left last.
  places = new Map([[feed, { ...place, at: now }]]);
}

export function comeBack(feed: string, now: number): Place | undefined {
  const place = places.get(feed);
  return place && now - place.at < keptMs && place.videos.length > 0 ? place : undefined;
}
