// For tests: clips that FFmpeg makes, a sink that keeps everything, and FFmpeg's opinion of the result.
#pragma once

#include <expected>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/media/cmaf_reader.h"
#include "transcode/media/sink.h"
#include "transcode/media/vod_pipeline.h"

namespace ribalta::transcode::testing {

/// A folder of this process, removed at its end.
std::filesystem::path scratch();
/// Runs `ffmpeg ARGUMENTS NAME` once for each name. Nothing, with a message, where there is no ffmpeg.
std::optional<std::filesystem::path> generate(const std::string& name, const std::string& arguments);
/// What a command prints, without the last newline.
std::string output_of(const std::string& command);
/// Values of ffprobe's `-show_entries ENTRIES` of the first stream, separated by commas.
std::string probe(const std::string& path, const std::string& entries, const std::string& more = {});
/// What FFmpeg complains of when it decodes everything.
std::string errors_in(const std::string& path);
/// When a sound begins after silence, and when a picture turns white, in seconds.
std::vector<double> beep_times(const std::string& path);
std::vector<double> flash_times(const std::string& path);
double mean_volume(const std::string& path);

struct KeptTrack {
  media::TrackConfig config;
  Bytes init;
  std::vector<Bytes> chunks;
  std::vector<media::Chunk> parsed;  ///< point into `chunks`
};

class KeepingSink : public MediaSink {
 public:
  VodReport kept_report;
  std::vector<KeptTrack> tracks;
  Bytes kept_poster;
  double last_progress = 0;

  Result<void> report(const VodReport& report) override;
  Result<void> init(std::size_t track, Bytes bytes) override;
  Result<void> chunk(std::size_t track, Bytes bytes) override;
  Result<void> poster(Bytes jpeg) override;
  Result<void> progress(double done) override;

  /// Writes a track as one file of `init` and chunks; its path.
  [[nodiscard]] std::string write_track(std::size_t track, const std::string& name) const;

 private:
  std::mutex mutex_;
};

/// transcode_file of a path.
std::expected<VodSummary, Refusal> work_on(const std::filesystem::path& file, const VodSettings& settings,
                                           MediaSink& sink);

}  // namespace ribalta::transcode::testing
