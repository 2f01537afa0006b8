#include "packager/vod/vod_record.h"

#include <algorithm>
#include <set>

#include "core/ids.h"
#include "core/json.h"
#include "core/media/track.h"

namespace ribalta::packager {
namespace {

Result<void> check_name(const std::string& track, const std::string& file, std::string_view extension,
                        std::set<std::string>& names) {
  if (!is_track_name(track)) return fail(Code::malformed, "not a track's name");
  if (file != track + std::string{extension})
    return fail(Code::malformed, "file of another name than its track:", track);
  if (!names.insert(track).second) return fail(Code::malformed, "two tracks of one name:", track);
  return {};
}

Result<void> check_range(std::int64_t value, std::int64_t max, std::string_view what) {
  if (value <= 0) return fail(Code::malformed, std::string{what} + ":", value);
  if (value > max) return fail(Code::limit, std::string{what} + ":", value);
  return {};
}

bool is_language(std::string_view text) {
  return text.size() == 3 && std::ranges::all_of(text, [](char c) { return c >= 'a' && c <= 'z'; });
}

}  // namespace

bool is_version(std::string_view text) {
  const auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'; };
  return !text.empty() && text.size() <= 32 && std::ranges::all_of(text, good);
}

Result<VodRecord> parse_vod_record(std::string_view json) {
  if (json.size() > kRecordBytesMax) return fail(Code::limit, "video.json: bytes", json.size());
  auto record = json_read<VodRecord>(json, JsonUnknown::ignore);
  if (!record) return record.error().in("video.json");
  if (record->video_tracks.size() > kTracksMax || record->audio_tracks.size() > kTracksMax) {
    return fail(Code::limit, "video.json: tracks", std::max(record->video_tracks.size(), record->audio_tracks.size()));
  }
  if (record->video_tracks.empty() && record->audio_tracks.empty())
    return fail(Code::malformed, "video.json: no tracks");
  std::set<std::string> names;
  for (const VodVideoRecord& track : record->video_tracks) {
    if (const auto named = check_name(track.track, track.file, ".cmfv", names); !named)
      return named.error().in("video.json");
    const auto width = check_range(track.width, media::kPictureSideMax, "width");
    if (!width) return width.error().in("video.json", track.track);
    const auto height = check_range(track.height, media::kPictureSideMax, "height");
    if (!height) return height.error().in("video.json", track.track);
    if (!(track.fps >= 0 && track.fps <= 1000)) return fail(Code::limit, "video.json: fps of", track.track);
  }
  for (VodAudioRecord& track : record->audio_tracks) {
    if (const auto named = check_name(track.track, track.file, ".cmfa", names); !named)
      return named.error().in("video.json");
    if (!is_language(track.language)) return fail(Code::malformed, "video.json: language of", track.track);
  }
  return record;
}

}  // namespace ribalta::packager
