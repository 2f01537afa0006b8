#include <charconv>
#include <optional>

#include "core/log.h"
#include "packager/live/manifests.h"
#include "packager/live/routes.h"
#include "packager/live/run_on.h"

namespace ribalta::packager {
namespace {

using http::Exchange;
using http::Response;
using Parameters = http::Router::Parameters;

constexpr std::string_view kForever = "public, max-age=31536000, immutable";
constexpr std::string_view kMoment = "public, max-age=1";
constexpr std::string_view kComplete = "public, max-age=10";
constexpr std::string_view kHls = "application/vnd.apple.mpegurl";
constexpr std::string_view kDash = "application/dash+xml";
/// A segment is read whole from the store: what a stream's memory may hold.
constexpr std::uint64_t kStoredSegmentBytesMax = 512 * 1024 * 1024;

http::Fields fields_of(const StreamId& id, std::string_view type, std::string_view cache) {
  http::Fields fields;
  fields.set("Content-Type", type);
  fields.set("Cache-Control", cache);
  fields.set("Ribalta-Tag", "stream:" + id.text());
  return fields;
}

Task<void> answer_missing(Exchange& exchange, std::optional<StreamId> id) {
  Response response = Response::text(404, "not found\n");
  response.fields.set("Cache-Control", kMoment);
  if (id) response.fields.set("Ribalta-Tag", "stream:" + id->text());
  co_await exchange.respond(std::move(response));
}

/// A playlist and how long it may be kept; empty text: there is none.
struct Playlist {
  std::string text;
  bool announced = false;
  bool complete = false;
};
enum class Kind : std::uint8_t { multivariant, mpd, media };

Task<Playlist> make_playlist(Hub& hub, StreamId id, Kind kind, std::string track) {
  Playlist out;
  const std::shared_ptr<LiveStream> stream = hub.find(id);
  if (!stream) co_return out;
  co_await stream->until_announced(kFirstWait);
  switch (kind) {
    case Kind::multivariant:
      out.text = stream->multivariant();
      break;
    case Kind::mpd:
      out.text = stream->mpd(wall_now());
      break;
    case Kind::media:
      out.text = stream->media_playlist(track);
      break;
  }
  out.announced = stream->announced();
  out.complete = stream->complete();
  co_return out;
}

Task<void> get_playlist(Exchange& exchange, Hub& hub, StreamId id, std::string file) {
  Kind kind = Kind::media;
  std::string track;
  if (file == "index.m3u8")
    kind = Kind::multivariant;
  else if (file == "index.mpd")
    kind = Kind::mpd;
  else if (file.ends_with(".m3u8"))
    track = file.substr(0, file.size() - 5);
  Playlist playlist;
  if (kind != Kind::media || is_track_name(track)) {
    Task<Playlist> making = make_playlist(hub, id, kind, std::move(track));
    playlist = co_await run_task_on<Playlist>(hub.loop_of(id), std::move(making));
  }
  if (playlist.text.empty()) {
    co_await answer_missing(exchange, id);
    co_return;
  }
  std::string_view cache = kMoment;
  if (kind == Kind::multivariant && playlist.announced) cache = kComplete;
  if (playlist.complete) cache = kForever;
  Response response;
  response.fields = fields_of(id, kind == Kind::mpd ? kDash : kHls, cache);
  response.body = std::move(playlist.text);
  co_await exchange.respond(std::move(response));
}

/// The number that stands in `text` between `prefix` and `suffix`, written as we write it: no sign, no leading zeros.
std::optional<std::int64_t> number_in(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool ours =
      error == std::errc{} && end == text.data() + text.size() && std::to_string(value) == text && value >= 0;
  return ours ? std::optional{value} : std::nullopt;
}

/// What stands behind the name of one of a track's objects.
struct ObjectName {
  std::optional<std::int64_t> init;
  Epoch epoch;
  std::int64_t msn = 0;
};
std::optional<ObjectName> parse_object_name(std::string_view file) {
  ObjectName name;
  if (file.starts_with("init-") && file.ends_with(".mp4") && file.size() > 9) {
    name.init = number_in(file.substr(5, file.size() - 9));
    return name.init ? std::optional{name} : std::nullopt;
  }
  const std::size_t dash = file.find('-');
  if (!file.ends_with(".m4s") || dash == std::string_view::npos || dash + 5 > file.size()) return std::nullopt;
  const std::optional<std::int64_t> epoch = number_in(file.substr(0, dash));
  const std::optional<std::int64_t> msn = number_in(file.substr(dash + 1, file.size() - dash - 5));
  if (!epoch || !msn) return std::nullopt;
  name.epoch = Epoch{*epoch};
  name.msn = *msn;
  return name;
}

struct Found {
  bool exists = false;
  bool video = false;
  std::vector<SharedBytes> pieces;  ///< empty: only the store has it
};

Found look_up(Hub& hub, const StreamId& id, const std::string& track, const ObjectName& name) {
  Found found;
  const std::shared_ptr<LiveStream> stream = hub.find(id);
  if (!stream) return found;
  found.video = stream->is_video(track);
  if (name.init) {
    if (SharedBytes init = stream->init_segment(track, *name.init)) found.pieces.push_back(std::move(init));
    found.exists = !found.pieces.empty();
    return found;
  }
  LiveStream::Segment segment = stream->segment(track, name.epoch, name.msn);
  found.exists = segment.announced;
  found.pieces = std::move(segment.chunks);
  return found;
}

Task<void> get_object(Exchange& exchange, Hub& hub, StreamId id, std::string track, std::string file) {
  const std::optional<ObjectName> name = is_track_name(track) ? parse_object_name(file) : std::nullopt;
  Found found;
  if (name) {
    auto look = [&hub, &id, &track, &name] { return look_up(hub, id, track, *name); };
    found = co_await run_on(hub.loop_of(id), std::move(look));
  }
  if (found.exists && found.pieces.empty()) {
    ObjectStore* store = &hub.store();
    std::string key = live_key(id.view(), track, file);
    auto read = [store, key] { return store->get(key, kStoredSegmentBytesMax); };
    Result<Bytes> bytes = co_await run_blocking(std::move(read));
    if (bytes) {
      found.pieces.push_back(std::make_shared<const Bytes>(std::move(*bytes)));
    } else if (bytes.error().code != Code::not_found) {
      log_warning("live segment is not read", {{"stream", id.view()}, {"error", bytes.error()}});
      Response later = Response::error(503, "unavailable", "the object store does not answer");
      later.fields.set("Cache-Control", "no-store");
      later.fields.set("Retry-After", "1");
      co_await exchange.respond(std::move(later));
      co_return;
    }
  }
  if (found.pieces.empty()) {
    co_await answer_missing(exchange, id);
    co_return;
  }
  std::uint64_t bytes = 0;
  for (const SharedBytes& piece : found.pieces) bytes += piece->size();
  http::ResponseHead head{200, fields_of(id, found.video ? "video/mp4" : "audio/mp4", kForever)};
  if (!co_await exchange.start(std::move(head), bytes)) co_return;
  for (const SharedBytes& piece : found.pieces) {
    if (!co_await exchange.write(*piece)) co_return;
  }
  co_await exchange.finish();
}

}  // namespace

void add_playback_routes(http::Router& router, Hub& hub) {
  router.add("GET", "/live/{stream}/{file}", [&hub](Exchange& exchange, const Parameters& parameters) -> Task<void> {
    const Result<StreamId> id = StreamId::parse(http::parameter(parameters, "stream"));
    if (!id) {
      co_await answer_missing(exchange, std::nullopt);
      co_return;
    }
    co_await get_playlist(exchange, hub, *id, std::string{http::parameter(parameters, "file")});
  });
  router.add("GET", "/live/{stream}/{track}/{file}",
             [&hub](Exchange& exchange, const Parameters& parameters) -> Task<void> {
               const Result<StreamId> id = StreamId::parse(http::parameter(parameters, "stream"));
               if (!id) {
                 co_await answer_missing(exchange, std::nullopt);
                 co_return;
               }
               co_await get_object(exchange, hub, *id, std::string{http::parameter(parameters, "track")},
                                   std::string{http::parameter(parameters, "file")});
             });
}

}  // namespace ribalta::packager
