#include "packager/vod/vod_service.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <utility>

#include "core/ids.h"
#include "core/internal_auth.h"
#include "core/log.h"
#include "packager/vod/vod_manifests.h"
#include "packager/vod/vod_record.h"

namespace ribalta::packager {
namespace {

constexpr std::string_view kForever{"public, max-age=31536000, immutable"};
/// What is not there may come soon (a version that is being published), and must not stay missing at an edge.
constexpr std::string_view kBriefly{"max-age=1"};
constexpr std::string_view kNever{"no-store"};
constexpr std::string_view kAuthorisedField{"Ribalta-Authorised"};

http::Fields fields_of(std::string_view video, std::string_view type, std::string_view cache) {
  http::Fields fields;
  fields.set("Content-Type", type);
  fields.set("Cache-Control", cache);
  fields.set("Ribalta-Tag", "video:" + std::string{video});
  return fields;
}

http::Response whole(std::string_view video, std::string_view type, std::string body) {
  return {.status = 200, .fields = fields_of(video, type, kForever), .body = std::move(body)};
}

http::Response refusal(std::string_view video, unsigned status, std::string_view code, std::string_view sentence) {
  http::Response response = http::Response::error(status, code, sentence);
  response.fields.set("Cache-Control", status == 404 || status == 410 ? kBriefly : kNever);
  response.fields.set("Ribalta-Tag", "video:" + std::string{video});
  return response;
}

/// What can't be read: 503 where the disk's line is full and a moment helps, else our trouble, and a line in the log.
http::Response unreadable(std::string_view video, const std::string& what, const Error& error) {
  if (error.code == Code::unavailable) {
    http::Response later = refusal(video, 503, "unavailable", "Too many are watching at the moment.");
    later.fields.set("Retry-After", "1");
    return later;
  }
  log_error("video cannot be read", {{"what", what}, {"error", error}});
  return refusal(video, 500, "internal", "The " + what + " cannot be read.");
}

http::Response not_found(std::string_view video) { return refusal(video, 404, "not_found", "There is nothing here."); }

/// `{n}.m4s`, n from 1, in the one spelling that playlists use. @return the segment's position from 0.
std::optional<std::size_t> segment_of(std::string_view file) {
  constexpr std::string_view extension{".m4s"};
  if (!file.ends_with(extension)) return std::nullopt;
  file.remove_suffix(extension.size());
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(file.data(), file.data() + file.size(), number);
  if (error != std::errc{} || end != file.data() + file.size() || number == 0 || file.front() == '0')
    return std::nullopt;
  return number - 1;
}

/// The name before `extension`, where the file has it.
std::optional<std::string_view> stem(std::string_view file, std::string_view extension) {
  if (!file.ends_with(extension)) return std::nullopt;
  return file.substr(0, file.size() - extension.size());
}

std::string_view type_of(const VodTrack& track) {
  return track.config.kind == media::TrackKind::video ? "video/mp4" : "audio/mp4";
}

}  // namespace

VodService::VodService(ObjectStore& store, VodOptions options, Metrics& metrics)
    : store_(store),
      options_(std::move(options)),
      assets_loaded_(metrics.counter("ribalta_packager_vod_assets_loaded_total",
                                     "Videos whose record and indexes were read from the object store")),
      assets_broken_(metrics.counter("ribalta_packager_vod_assets_broken_total",
                                     "Videos whose record or files could not be used")),
      segment_bytes_(metrics.counter("ribalta_packager_vod_segment_bytes_total", "Bytes of segments that were sent")) {}

Task<Result<Access>> VodService::access_of(std::string video) {
  const auto known = accesses_.get(video);
  if (known && options_.now() - known->read_at < kAccessAgeMax) co_return known->access;
  const auto asked_at = options_.now();  // before the read: what is remembered is never younger than it claims
  const ObjectStore* store = &store_;
  const auto access = co_await run_blocking([store, video] { return load_access(*store, video); });
  if (access) accesses_.put(video, {*access, asked_at}, 1);
  co_return access;
}

Task<VodService::Asset> VodService::open_for(http::Exchange& exchange, std::string video, std::string version) {
  http::Response refused;
  if (!VideoId::parse(video) || !is_version(version)) {
    refused = not_found("unknown");
    co_await exchange.respond(std::move(refused));
    co_return nullptr;
  }
  const auto access = co_await access_of(video);
  if (!access) {
    log_warning("access of a video is not known", {{"video", video}, {"error", access.error()}});
    refused = refusal(video, 503, "unavailable", "The video cannot be played at the moment.");
    refused.fields.set("Retry-After", "1");
  } else if (*access == Access::gone) {
    refused = refusal(video, 410, "gone", "This video is no longer here.");
  } else if (*access == Access::token && exchange.head().fields.get(kAuthorisedField) != "1") {
    refused = refusal(video, 403, "forbidden", "This video is not public.");
  } else {
    const std::string key = video + "/" + version;
    if (auto held = assets_.get(key)) co_return std::move(*held);
    const ObjectStore* store = &store_;
    auto loaded = co_await run_blocking([store, video, version] { return load_vod_asset(*store, video, version); });
    if (loaded) {
      assets_loaded_.add();
      assets_.put(key, *loaded, (*loaded)->bytes());
      co_return std::move(*loaded);
    }
    if (loaded.error().code == Code::not_found) {
      refused = not_found(video);
    } else if (loaded.error().code == Code::unavailable) {
      refused = unreadable(video, "video", loaded.error());
    } else {
      assets_broken_.add();
      log_error("video cannot be played", {{"video", video}, {"version", version}, {"error", loaded.error()}});
      refused = refusal(video, 500, "internal", "The video cannot be played.");
    }
  }
  co_await exchange.respond(std::move(refused));
  co_return nullptr;
}

Task<void> VodService::get_file(http::Exchange& exchange, std::string video, std::string version, std::string file) {
  const Asset asset = co_await open_for(exchange, video, std::move(version));
  if (!asset) co_return;
  http::Response response = not_found(video);
  const auto name = stem(file, ".m3u8");
  const VodTrack* track = name ? asset->find(*name) : nullptr;
  if (file == "index.m3u8") {
    response = whole(video, "application/vnd.apple.mpegurl", vod_multivariant(*asset));
  } else if (file == "index.mpd") {
    response = whole(video, "application/dash+xml", vod_mpd(*asset));
  } else if (file == "poster.jpg" && asset->poster) {
    co_await send_poster(exchange, asset);
    co_return;
  } else if (track != nullptr) {
    response = whole(video, "application/vnd.apple.mpegurl", vod_media_playlist(*asset, *track));
  }
  co_await exchange.respond(std::move(response));
}

Task<void> VodService::get_media(http::Exchange& exchange, std::string video, std::string version, std::string track,
                                 std::string file) {
  const Asset asset = co_await open_for(exchange, video, std::move(version));
  if (!asset) co_return;
  const VodTrack* found = asset->find(track);
  http::Response response = not_found(video);
  if (found != nullptr && file == "init.mp4") {
    response = whole(video, type_of(*found), std::string{as_text(found->init)});
  } else if (found != nullptr) {
    const auto segment = segment_of(file);
    if (segment && *segment < found->segments.size()) {
      co_await send_segment(exchange, asset, found->key, found->segments[*segment], std::string{type_of(*found)});
      co_return;
    }
  }
  co_await exchange.respond(std::move(response));
}

Task<void> VodService::send_poster(http::Exchange& exchange, Asset asset) {
  const ObjectStore* store = &store_;
  const std::string key = vod_key(asset->video, asset->version, "poster.jpg");
  const auto poster = co_await run_blocking([store, key] { return store->get(key, kPosterBytesMax); });
  http::Response response;
  if (poster) {
    response = whole(asset->video, "image/jpeg", std::string{as_text(*poster)});
  } else if (poster.error().code == Code::not_found) {
    response = not_found(asset->video);
  } else {
    response = unreadable(asset->video, "poster", poster.error());
  }
  co_await exchange.respond(std::move(response));
}

Task<void> VodService::send_segment(http::Exchange& exchange, Asset asset, std::string key, VodSegment segment,
                                    std::string type) {
  const bool bodiless = exchange.head().method == "HEAD";
  struct Opened {
    std::unique_ptr<ObjectReader> file;
    Result<Bytes> piece;  ///< the first, read on the same way to the disk
  };
  const auto piece_bytes = [&segment](std::uint64_t sent) {
    return static_cast<std::size_t>(std::min<std::uint64_t>(kPieceBytes, segment.bytes - sent));
  };
  const ObjectStore* store = &store_;
  const std::size_t first_bytes = bodiless ? 0 : piece_bytes(0);
  Result<Opened> opened = co_await run_blocking([store, &key, &segment, first_bytes]() -> Result<Opened> {
    auto file = store->open(key);
    if (!file) return pass(file);
    auto piece = (*file)->read(segment.offset, first_bytes);
    return Opened{std::move(*file), std::move(piece)};
  });
  if (!opened) {
    const bool removed = opened.error().code == Code::not_found;  // since the asset was read
    if (removed) forget(asset->video);
    http::Response response =
        removed ? not_found(asset->video) : unreadable(asset->video, "segment", opened.error().in(key).error());
    co_await exchange.respond(std::move(response));
    co_return;
  }
  Result<Bytes>& piece = opened->piece;
  if (!piece) {
    http::Response response = unreadable(asset->video, "segment", piece.error().in(key).error());
    co_await exchange.respond(std::move(response));
    co_return;
  }

  http::ResponseHead head{.status = 200, .fields = fields_of(asset->video, type, kForever)};
  const auto begun = co_await exchange.start(std::move(head), segment.bytes);
  if (!begun) co_return;
  for (std::uint64_t sent = 0; sent < segment.bytes && !bodiless;) {
    if (sent > 0) {
      const ObjectReader* file = opened->file.get();
      const std::uint64_t at = segment.offset + sent;
      const std::size_t size = piece_bytes(sent);
      piece = co_await run_blocking<Lane::admitted>([file, at, size] { return file->read(at, size); });
    }
    if (!piece) {  // cut, so that nobody takes it for whole
      log_error("segment of a video cannot be read",
                {{"video", asset->video}, {"error", piece.error().in(key).error()}});
      co_return;
    }
    const auto written = co_await exchange.write(*piece);
    if (!written) co_return;
    sent += piece->size();
    segment_bytes_.add(static_cast<double>(piece->size()));
    piece = Bytes{};  // nobody holds a piece while waiting for the next
  }
  co_await exchange.finish();
}

bool VodService::is_signed(const http::Exchange& exchange) const {
  return verify_internal(options_.node_secret, exchange.head(), options_.wall()).has_value();
}

void VodService::forget(const std::string& video) {
  accesses_.erase(video);
  const std::string prefix = video + "/";
  assets_.erase_if([&](const std::string& key) { return key.starts_with(prefix); });
}

Task<void> VodService::put_access(http::Exchange& exchange, std::string video) {
  http::Response response = http::Response::error(401, "unauthorized", "Calls between daemons are signed.");
  if (is_signed(exchange)) {
    const auto body = co_await exchange.read_all(kAccessBytesMax);
    if (!body) {
      response = http::Response::of(body.error());
    } else if (const auto access = parse_access(*body); !VideoId::parse(video)) {
      response = http::Response::error(404, "not_found", "Not the id of a video.");
    } else if (!access) {
      response = http::Response::of(access.error());
    } else {
      ObjectStore* store = &store_;
      const Access wanted = *access;
      const auto stored = co_await run_blocking<Lane::background>(
          [store, video, wanted] { return store_access(*store, video, wanted); });
      // A reader that asked just before may still put the old value back, dated at its asking: kAccessAgeMax holds.
      forget(video);
      response = stored ? http::Response::json(200, write_access(wanted)) : http::Response::of(stored.error());
      if (!stored) log_error("access of a video was not stored", {{"video", video}, {"error", stored.error()}});
    }
  }
  co_await exchange.respond(std::move(response));
}

Task<void> VodService::remove(http::Exchange& exchange, std::string video) {
  http::Response response = http::Response::error(401, "unauthorized", "Calls between daemons are signed.");
  if (is_signed(exchange)) {
    if (!VideoId::parse(video)) {
      response = http::Response::error(404, "not_found", "Not the id of a video.");
    } else {
      ObjectStore* store = &store_;
      const auto removed =
          co_await run_blocking<Lane::background>([store, video] { return remove_video(*store, video); });
      forget(video);
      response = removed ? http::Response::json(200, "{}") : http::Response::of(removed.error());
      if (!removed) log_error("video was not removed", {{"video", video}, {"error", removed.error()}});
    }
  }
  co_await exchange.respond(std::move(response));
}

void add_vod_routes(http::Router& router, VodService& service) {
  using http::Exchange;
  using Parameters = http::Router::Parameters;
  const auto text = [](const Parameters& parameters, std::string_view name) {
    return std::string{http::parameter(parameters, name)};
  };
  VodService* vod = &service;
  router.add("GET", "/v/{video}/{version}/{file}", [vod, text](Exchange& exchange, const Parameters& p) {
    return vod->get_file(exchange, text(p, "video"), text(p, "version"), text(p, "file"));
  });
  router.add("GET", "/v/{video}/{version}/{track}/{file}", [vod, text](Exchange& exchange, const Parameters& p) {
    return vod->get_media(exchange, text(p, "video"), text(p, "version"), text(p, "track"), text(p, "file"));
  });
  router.add("PUT", "/videos/{video}/access", [vod, text](Exchange& exchange, const Parameters& p) {
    return vod->put_access(exchange, text(p, "video"));
  });
  router.add("DELETE", "/videos/{video}",
             [vod, text](Exchange& exchange, const Parameters& p) { return vod->remove(exchange, text(p, "video")); });
}

}  // namespace ribalta::packager
