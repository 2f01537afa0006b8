#include "transcode/refusal.h"

#include <array>

namespace ribalta::transcode {
namespace {

struct Kind {
  RefusalKind kind;
  std::string_view name;
  std::string_view sentence;
};
constexpr std::array<Kind, 10> kKinds{{
    {RefusalKind::empty, "empty", "The file is empty."},
    {RefusalKind::not_media, "not-media", "This is not a video file that we can read."},
    {RefusalKind::truncated, "truncated",
     "The file is incomplete: its end is missing. Please export or upload it again."},
    {RefusalKind::corrupt, "corrupt", "The file is damaged: its pictures cannot be decoded."},
    {RefusalKind::encrypted, "encrypted", "The file is copy-protected or encrypted, so we cannot process it."},
    {RefusalKind::unsupported_codec, "unsupported-codec",
     "The file is encoded in a way that we cannot read. Please export it as H.264 (MP4)."},
    {RefusalKind::no_video, "no-video", "The file has no video, only sound or data."},
    {RefusalKind::no_samples, "no-samples", "The file describes a video but contains no pictures."},
    {RefusalKind::still_image, "still-image", "This is a still picture, not a video."},
    {RefusalKind::limits, "limits", "The video is larger or longer than is accepted here."},
}};

}  // namespace

std::string_view to_string(RefusalKind kind) {
  for (const Kind& entry : kKinds) {
    if (entry.kind == kind) return entry.name;
  }
  return "corrupt";
}

RefusalKind refusal_kind(std::string_view name) {
  for (const Kind& entry : kKinds) {
    if (entry.name == name) return entry.kind;
  }
  return RefusalKind::corrupt;
}

Refusal refuse(RefusalKind kind, std::string_view detail) {
  for (const Kind& entry : kKinds) {
    if (entry.kind == kind) return {kind, std::string{entry.sentence}, std::string{detail}};
  }
  return {kind, "The file cannot be processed.", std::string{detail}};
}

Refusal refuse(RefusalKind kind, std::string_view sentence, std::string_view detail) {
  return {kind, std::string{sentence}, std::string{detail}};
}

}  // namespace ribalta::transcode
