// The farm's section of ribalta.toml.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "core/config.h"
#include "transcode/media/acceptance.h"

namespace ribalta::transcode {

struct TranscodeConfig {
  std::int64_t live_jobs_max = 0;  ///< 0: one for each two cores
  std::int64_t vod_jobs_max = 1;
  std::int64_t cores = 0;  ///< for encoding; 0: all of the machine
  std::string vod_preset = "veryfast";
  std::string live_preset = "veryfast";
  std::int64_t vod_crf_tenths = 230;
  std::int64_t short_side_max = 1080;
  std::int64_t rungs_max = 6;
  std::int64_t child_memory_mb = 4096;
  std::chrono::milliseconds child_cpu{std::chrono::hours{8}};
  SourceLimits limits;
  std::string control;            ///< address; empty: unix:RUN/control.sock
  std::string packager;           ///< address; empty: where Redis says the stream is, else unix:RUN/packager.sock
  std::filesystem::path spool;    ///< empty: data/transcode/spool
  std::filesystem::path program;  ///< of the media child; empty: ourselves
};

/// Describes and reads `[transcode]`; complaints stay in the reader.
void read_transcode_config(ConfigReader& reader, TranscodeConfig& config);

/// What single fields can't show; complaints stay in the reader.
void check_transcode_config(const TranscodeConfig& config, const NodeConfig& node, ConfigReader& reader);

/// With what is left to the machine filled in.
TranscodeConfig completed(TranscodeConfig config, const NodeConfig& node);

}  // namespace ribalta::transcode
