#include "client/check/check.h"

#include <boost/describe/class.hpp>
#include <filesystem>
#include <thread>

#include "client/check/dash_check.h"
#include "client/check/hls_check.h"
#include "client/check/live_check.h"
#include "client/check/media_store.h"
#include "client/check/source.h"
#include "core/json.h"
#include "core/units.h"

namespace ribalta::check {
namespace {

namespace fs = std::filesystem;

/// A live playlist is asked for twice in each target duration, as players do.
constexpr std::int64_t kReloadsPerTarget = 2;

struct Places {
  std::string hls;
  std::string dash;
  bool both_needed = false;  ///< not only looked for
};

struct Media {
  std::string hls;
  std::string dash;
};
BOOST_DESCRIBE_STRUCT(Media, (), (hls, dash))

/// A page that people look at → what its player plays, as the API says it.
Result<Places> places_of_page(const std::string& page) {
  struct Door {
    std::string_view path;
    std::string_view api;
  };
  for (const Door& door : {Door{"/watch/", "/api/v1/videos/"}, Door{"/l/", "/api/v1/lives/"}}) {
    const std::size_t found = page.find(door.path, page.find("://") + 3);
    if (found == std::string::npos) continue;
    const auto answer = resolve(page, std::string{door.api} + page.substr(found + door.path.size()));
    const auto text = answer ? fetch(*answer) : pass(answer);
    if (!text) return text.error().in("the page's media");
    const auto media = json_read<Media>(*text, JsonUnknown::ignore);
    if (!media) return media.error().in("the page's media");
    const auto hls = resolve(page, media->hls);
    const auto dash = resolve(page, media->dash);
    if (!hls) return pass(hls);
    if (!dash) return pass(dash);
    return Places{*hls, *dash, true};
  }
  return fail(Code::malformed, "neither a playlist (.m3u8), a manifest (.mpd) nor a page of a video or a live:", page);
}

std::string with_ending(const std::string& location, std::size_t at, std::string_view old_ending,
                        std::string_view ending) {
  return location.substr(0, at) + std::string{ending} + location.substr(at + old_ending.size());
}

Result<Places> places_of(const std::string& location) {
  const std::size_t path_end = std::min(location.find_first_of("?#"), location.size());
  const std::string_view path = std::string_view{location}.substr(0, path_end);
  constexpr std::string_view kHls = ".m3u8";
  constexpr std::string_view kDash = ".mpd";
  if (path.ends_with(kHls)) return Places{location, with_ending(location, path_end - kHls.size(), kHls, kDash)};
  if (path.ends_with(kDash)) return Places{with_ending(location, path_end - kDash.size(), kDash, kHls), location};
  if (is_url(location)) return places_of_page(location);
  return fail(Code::malformed, "neither a folder nor a playlist:", location);
}

/// One track's files of the object store, held against their indexes and each other.
void check_store_folder(const fs::path& folder, Checked& out) {
  const SegmentFacts* first = nullptr;
  std::vector<FileFacts> tracks;
  for (const fs::directory_entry& entry : fs::directory_iterator{folder}) {
    const fs::path& file = entry.path();
    if (file.extension() != ".cmfv" && file.extension() != ".cmfa") continue;
    const auto bytes = fetch(file.string());
    if (!bytes) {
      out.findings.add("track-missing", file.string(), bytes.error().message);
      continue;
    }
    out.bytes += bytes->size();
    ++out.playlists;
    if (auto facts = check_track_file(*bytes, file.string(), out.findings)) tracks.push_back(std::move(*facts));
  }
  for (const FileFacts& track : tracks) {
    out.segments += track.segments.size();
    if (track.init.config.kind != media::TrackKind::video) continue;
    if (first == nullptr) {
      first = track.segments.data();
      continue;
    }
    if (compare(first->first_presentation, track.segments.front().first_presentation) != 0) {
      out.findings.add("rung-alignment", folder.string(), "the rungs begin at different times");
    }
  }
  if (tracks.empty()) out.findings.add("track-missing", folder.string(), "no track that could be read");
}

Result<Places> places_of_folder(const fs::path& folder) {
  for (const char* name : {"index.m3u8", "master.m3u8", "index.mpd", "manifest.mpd"}) {
    if (fs::exists(folder / name)) return places_of((folder / name).string());
  }
  for (const fs::directory_entry& entry : fs::directory_iterator{folder}) {
    if (entry.path().extension() == ".mpd") return places_of(entry.path().string());
  }
  return fail(Code::not_found, "neither video.json, a playlist nor a manifest lies in", folder.string());
}

/// Is there something? For the other format beside the one that was named.
bool exists(const std::string& location) { return fetch(location).has_value(); }

std::int64_t steady_ms() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

/// Reloads each media playlist as a player does, and looks into what is new; afterwards `presentation` is what the last
/// reloads said.
void follow_live(HlsPresentation& presentation, std::chrono::seconds follow, MediaStore& media, Findings& findings) {
  std::map<std::string, PlaylistHistory> histories;
  for (const auto& [location, playlist] : presentation.playlists) {
    histories.emplace(location, location).first->second.take(playlist.playlist, steady_ms(), findings);
  }
  const std::int64_t until_ms = steady_ms() + std::chrono::milliseconds{follow}.count();
  while (steady_ms() < until_ms && !histories.empty()) {
    const std::int64_t pause_ms =
        std::max<std::int64_t>(250, histories.begin()->second.target_ms() / kReloadsPerTarget);
    std::this_thread::sleep_for(std::chrono::milliseconds{pause_ms});  // a player's pause between two reloads
    bool all_ended = true;
    for (auto& [location, history] : histories) {
      auto loaded = load_playlist(location, media, findings);
      if (!loaded) {
        all_ended = false;
        continue;
      }
      history.take(loaded->playlist, steady_ms(), findings);
      all_ended = all_ended && history.ended();
      presentation.playlists.at(location) = std::move(*loaded);
    }
    if (presentation.multivariant) {
      const auto again = fetch(presentation.location);
      if (again && *again != presentation.text) {
        findings.add("multivariant-changed", presentation.location, "the multivariant playlist of a live changed");
      }
    }
    if (all_ended) return;
  }
}

}  // namespace

Result<Checked> check_location(const std::string& location, std::chrono::seconds follow) {
  Checked out;
  std::error_code ignored;
  const bool folder = !is_url(location) && fs::is_directory(location, ignored);
  if (folder && fs::exists(fs::path{location} / "video.json", ignored)) {
    check_store_folder(location, out);
    return out;
  }
  const auto places = folder ? places_of_folder(location) : places_of(location);
  if (!places) return pass(places);
  const bool hls_named = places->both_needed || places->hls == location || location.ends_with(".m3u8");
  const bool dash_named = places->both_needed || !hls_named;
  MediaStore media{out.findings};
  std::optional<HlsPresentation> hls;
  std::optional<DashPresentation> dash;
  if (hls_named || exists(places->hls)) hls = load_hls(places->hls, media, out.findings);
  if (dash_named || exists(places->dash)) dash = load_dash(places->dash, to_unix_ms(wall_now()), media, out.findings);
  if (hls) {
    check_presentation(*hls, out.findings);
    out.playlists += hls->playlists.size();
    if (hls->live() && follow.count() > 0) {
      follow_live(*hls, follow, media, out.findings);
      check_presentation(*hls, out.findings);
    }
  }
  if (dash) ++out.playlists;
  if (hls && dash) check_same_media(*hls, *dash, out.findings);
  out.segments = media.segments();
  out.bytes = media.bytes();
  return out;
}

}  // namespace ribalta::check
