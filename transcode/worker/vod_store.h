// From what the child sends to objects: every track is checked as it comes, spooled, and put behind its index.
#pragma once

#include <atomic>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/media/cmaf_boxes.h"
#include "core/media/track.h"
#include "core/result.h"
#include "core/store/object_store.h"
#include "transcode/media/sink.h"
#include "transcode/sandbox/child_process.h"

namespace ribalta::transcode {

/// What video.json says (docs/contracts.md, "Object store").
struct VideoTrackRecord {
  std::string track;
  std::string file;
  std::string codecs;
  std::int64_t width = 0;
  std::int64_t height = 0;
  double fps = 0;
  std::int64_t timescale = 0;
  std::int64_t duration = 0;
};
BOOST_DESCRIBE_STRUCT(VideoTrackRecord, (), (track, file, codecs, width, height, fps, timescale, duration))
struct AudioTrackRecord {
  std::string track;
  std::string file;
  std::string codecs;
  std::int64_t sample_rate = 0;
  std::int64_t channels = 0;
  std::string language = "und";
  std::int64_t timescale = 0;
  std::int64_t duration = 0;
};
BOOST_DESCRIBE_STRUCT(AudioTrackRecord, (), (track, file, codecs, sample_rate, channels, language, timescale, duration))
struct VideoRecord {
  std::string video;
  std::string version;
  std::int64_t duration_ms = 0;
  std::int64_t segment_target_ms = 2'000;
  std::vector<VideoTrackRecord> video_tracks;
  std::vector<AudioTrackRecord> audio_tracks;
  std::string poster = "poster.jpg";
};
BOOST_DESCRIBE_STRUCT(VideoRecord, (),
                      (video, version, duration_ms, segment_target_ms, video_tracks, audio_tracks, poster))

/// One version of one video while it is made. Blocking calls, from one thread. Dropped before publish: what was written
/// stays, without a video.json, until remove() or the next attempt.
class VodStore final : public MediaSink {
 public:
  /// Media of one track may grow to this: two hours at 60 Mb/s.
  static constexpr std::uint64_t kTrackBytesMax = std::uint64_t{54} * 1024 * 1024 * 1024;

  VodStore(ObjectStore& store, std::filesystem::path spool, std::string video, std::string version,
           std::int64_t segment_ms, const media::LadderOptions& ladder, std::function<void(double)> on_progress);

  Result<void> report(const VodReport& report) override;
  Result<void> init(std::size_t track, Bytes bytes) override;
  Result<void> chunk(std::size_t track, Bytes bytes) override;
  Result<void> poster(Bytes jpeg) override;
  Result<void> progress(double done) override;

  /// Puts tracks and poster into the store, and video.json last. @error malformed: something is missing or broken.
  Result<VideoRecord> publish(const VodSummary& summary);
  /// Takes back whatever was written of this version.
  Result<void> remove();
  [[nodiscard]] const VodReport& source() const { return report_; }
  [[nodiscard]] std::string prefix() const { return "vod/" + video_ + "/" + version_ + "/"; }

 private:
  struct Track {
    std::string name;
    std::string codecs;
    bool audio = false;
    Bytes init;
    media::TrackConfig config;
    Descriptor spool;
    std::uint64_t bytes = 0;
    std::int64_t begins = 0;  ///< decode time of the first segment
    std::int64_t ends = 0;
    std::int64_t presentation = 0;  ///< the earliest of the first segment
    std::vector<media::SegmentReference> segments;
  };
  Result<void> put_track(Track& track, const std::string& file);
  Result<Track*> find(std::size_t track);

  ObjectStore& store_;
  std::filesystem::path spool_;
  std::string video_;
  std::string version_;
  std::int64_t segment_ms_;
  media::LadderOptions ladder_;
  std::function<void(double)> on_progress_;
  VodReport report_;
  std::vector<Track> tracks_;
  Bytes poster_;
};

}  // namespace ribalta::transcode
