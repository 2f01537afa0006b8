// The life of the media child: read the request, go to jail, work, say how it ended.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>

#include "transcode/media/sink.h"
#include "transcode/media/vod_pipeline.h"
#include "transcode/refusal.h"

namespace ribalta::transcode {

/// What is done with a file: `transcode_file`, or what a bench puts in its place.
using FileWork = std::function<std::expected<VodSummary, Refusal>(int descriptor, std::uint64_t bytes,
                                                                  const VodSettings& settings, MediaSink& sink)>;

/// @return the process's exit code: 0 when an end (summary or refusal) was told.
int child_main(const FileWork& on_file);

}  // namespace ribalta::transcode
