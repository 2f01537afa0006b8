// Where playlists and media are fetched from: a site, or a folder on this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "client/check/hls.h"
#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::check {

/// One segment of the highest rung that is imaginable: 100 Mb/s for 10 s.
inline constexpr std::size_t kMediaBytesMax = 128 * 1024 * 1024;

bool is_url(std::string_view location);
/// What `reference` in a document at `base` points at: RFC 3986 for URLs, paths below the document's folder for files.
/// @error malformed; forbidden: out of the folder, or another scheme than http, https.
Result<std::string> resolve(const std::string& base, const std::string& reference);

/// All of it, or a range. @error not_found (also 410 and 403, with the status); unavailable; limit: kMediaBytesMax;
///        malformed: a range that the server answers with something else.
Result<std::string> fetch(const std::string& location, std::optional<ByteRange> range = std::nullopt);

}  // namespace ribalta::check
