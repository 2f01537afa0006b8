// What the parent asks of the child: its first message.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "transcode/media/live_settings.h"
#include "transcode/media/vod_pipeline.h"

namespace ribalta::transcode {

struct JailSettings {
  std::int64_t memory_mb = 4096;
  std::int64_t cpu_s = 0;  ///< 0: unlimited
};
BOOST_DESCRIBE_STRUCT(JailSettings, (), (memory_mb, cpu_s))

/// Exactly one of `vod` and `live`.
struct ChildRequest {
  JailSettings jail;
  std::int64_t input_bytes = 0;  ///< of the file on descriptor 3
  std::optional<VodSettings> vod;
  std::optional<LiveSettings> live;
};
BOOST_DESCRIBE_STRUCT(ChildRequest, (), (jail, input_bytes, vod, live))

/// How refused work ends: the last message.
struct RefusalReport {
  std::string kind;
  std::string sentence;
  std::string detail;
};
BOOST_DESCRIBE_STRUCT(RefusalReport, (), (kind, sentence, detail))

}  // namespace ribalta::transcode
