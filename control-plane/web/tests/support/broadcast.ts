import { liveRungs, segmentCount, segmentS } from './media';

/** Segments in the playlist: what a viewer who joins finds. */
const windowCount = 6;

/** A live playlist that moves: the three segments of the fixture again and again, a discontinuity before each round. */
export class FakeBroadcast {
  private readonly began = Date.now();
  private stoppedAt: number | undefined;
  private over = false;

  /** Nothing new comes, as when the encoder is away. */
  interrupt(): void {
    this.stoppedAt = this.newest();
  }
  resume(): void {
    this.stoppedAt = undefined;
  }
  end(): void {
    this.stoppedAt = this.newest();
    this.over = true;
  }

  /** @param path  below `/live/stage/`; undefined for what is no playlist. */
  playlist(path: string[]): string | undefined {
    if (path.join('/') === 'index.m3u8') return this.multivariant();
    return path[1] === 'media.m3u8' ? this.media() : undefined;
  }

  private newest(): number {
    return this.stoppedAt ?? windowCount + Math.floor((Date.now() - this.began) / (segmentS * 1000));
  }

  private multivariant(): string {
    const rungs = liveRungs.map(
      (rung) => `#EXT-X-STREAM-INF:BANDWIDTH=${rung.bandwidth},RESOLUTION=${rung.width}x${rung.height},CODECS="avc1.64001e,mp4a.40.2"\n${rung.name}/media.m3u8`,
    );
    return ['#EXTM3U', '#EXT-X-VERSION:7', '#EXT-X-INDEPENDENT-SEGMENTS', ...rungs, ''].join('\n');
  }

  private media(): string {
    const first = this.newest() - windowCount;
    const lines = ['#EXTM3U', '#EXT-X-VERSION:7', `#EXT-X-TARGETDURATION:${segmentS}`, `#EXT-X-MEDIA-SEQUENCE:${first}`];
    lines.push(`#EXT-X-DISCONTINUITY-SEQUENCE:${Math.floor(Math.max(0, first - 1) / segmentCount)}`, '#EXT-X-MAP:URI="init.mp4"');
    for (let at = first; at < first + windowCount; at += 1) {
      if (at > 0 && at % segmentCount === 0) lines.push('#EXT-X-DISCONTINUITY');
      lines.push(`#EXT-X-PROGRAM-DATE-TIME:${new Date(this.began + (at - windowCount) * segmentS * 1000).toISOString()}`);
      lines.push(`#EXTINF:${segmentS}.000,`, `media${at % segmentCount}.m4s`);
    }
    if (this.over) lines.push('#EXT-X-ENDLIST');
    return [...lines, ''].join('\n');
  }
}
