// What an accepted publisher may send: FLV tags at any time. Each goes the way that a publish goes (tags, timeline,
// tracks, ring); what comes out must be readable CMAF whose times never go back. Input: records of kind, time (4
// bytes), size, tag.
#include <cstdlib>

#include "core/media/cmaf_reader.h"
#include "ingest/rtmp/flv.h"
#include "ingest/stream/health.h"
#include "ingest/stream/source_track.h"
#include "ingest/stream/timeline.h"

using namespace ribalta;
using namespace ribalta::ingest;

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

void check(Ring& ring) {
  std::int64_t end = 0;
  for (std::uint64_t i = ring.first(); i < ring.end(); ++i) {
    const RingChunk& chunk = ring.at(i);
    const Result<media::TrackConfig> config = media::parse_init(*chunk.init);
    must(config.has_value());
    const Result<media::Chunk> read = media::parse_chunk(*chunk.bytes, *config);
    must(read.has_value());
    must(read->decode_time == chunk.decode_time && read->decode_end() == chunk.decode_end);
    must(chunk.decode_time >= end);
    end = chunk.decode_end;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  ByteReader input{{reinterpret_cast<const std::byte*>(data), size}};
  Timeline timeline{0};
  VideoSource video;
  AudioSource audio;
  Meter meter;
  std::int64_t arrival_ms = 0;
  while (input.left() >= 6) {
    const std::uint8_t kind = *input.u8();
    const auto time_ms = std::int64_t{static_cast<std::int32_t>(*input.be32())};
    const std::size_t length = std::min<std::size_t>(*input.u8(), input.left());
    const ByteSpan body = *input.take(length);
    arrival_ms += kind >> 1;
    if ((kind & 1) != 0) {
      const auto tag = rtmp::parse_video_tag(body);
      if (!tag) continue;
      if (tag->kind == rtmp::VideoTag::Kind::header) {
        [[maybe_unused]] const auto read = video.on_header(tag->data);
      }
      if (tag->kind == rtmp::VideoTag::Kind::end) video.flush();
      if (tag->kind != rtmp::VideoTag::Kind::frame) continue;
      const Placed placed = timeline.place(TrackSide::video, time_ms, arrival_ms);
      if (placed.discontinuity) audio.begin_period();
      video.on_frame(placed, tag->composition_ms, tag->data, {});
      if (const auto seen = video.take_seen()) meter.on_video(*seen, arrival_ms);
    } else {
      const auto tag = rtmp::parse_audio_tag(body);
      if (!tag) continue;
      if (tag->kind == rtmp::AudioTag::Kind::header) {
        [[maybe_unused]] const auto read = audio.on_header(tag->data);
      }
      if (tag->kind != rtmp::AudioTag::Kind::frame) continue;
      const Placed placed = timeline.place(TrackSide::audio, time_ms, arrival_ms);
      if (placed.discontinuity) video.begin_period();
      if (audio.on_frame(placed, timeline.base_ms(), tag->data) > 0)
        meter.on_audio(tag->data.size(), placed.time_ms, arrival_ms);
    }
  }
  video.flush();
  audio.flush();
  check(video.ring());
  if (audio.ring() != nullptr) check(*audio.ring());
  (void)meter.report(video.config(), audio.config());
  (void)meter.health(arrival_ms, video.counts(), audio.counts());
  return 0;
}
