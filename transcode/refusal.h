// Why a file was not taken: one kind for programs, one sentence for its creator, the details for the log.
#pragma once

#include <boost/describe/class.hpp>
#include <cstdint>
#include <string>
#include <string_view>

namespace ribalta::transcode {

enum class RefusalKind : std::uint8_t {
  empty,              ///< no bytes
  not_media,          ///< no container format that is taken
  truncated,          ///< the end is missing
  corrupt,            ///< damaged beyond use
  encrypted,          ///< protected by DRM or otherwise encrypted
  unsupported_codec,  ///< nothing here decodes it
  no_video,           ///< audio alone, or neither
  no_samples,         ///< a header without any pictures
  still_image,        ///< a picture, not a video
  limits,             ///< too large, too long, too many
};

struct Refusal {
  RefusalKind kind = RefusalKind::corrupt;
  std::string sentence;  ///< for the creator
  std::string detail;    ///< for the log
};

/// `not-media`, as jobs and the catalogue have it.
std::string_view to_string(RefusalKind kind);
/// The kind of that name; corrupt for a name that is unknown.
RefusalKind refusal_kind(std::string_view name);
/// A refusal with the kind's own sentence.
Refusal refuse(RefusalKind kind, std::string_view detail);
/// The same with a sentence of its own.
Refusal refuse(RefusalKind kind, std::string_view sentence, std::string_view detail);

}  // namespace ribalta::transcode
