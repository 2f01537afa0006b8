// Videos for tests: an object store in memory, and track files as the farm writes them.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "core/media/cmaf_writer.h"
#include "core/media/track.h"
#include "core/store/object_store.h"

namespace ribalta::packager::testing {

class MemoryStore : public ObjectStore {
 public:
  std::atomic<bool> broken{false};    ///< reads and writes say io
  std::atomic<std::size_t> reads{0};  ///< objects that were asked for

  Result<void> put(std::string_view key, ByteSpan bytes) override {
    if (broken) return fail(Code::io, "broken");
    const std::scoped_lock lock{mutex_};
    objects_[std::string{key}] = std::make_shared<const Bytes>(bytes.begin(), bytes.end());
    return {};
  }
  Result<void> put_durable(std::string_view key, ByteSpan bytes) override { return put(key, bytes); }
  Result<void> put_file_durable(std::string_view, const std::filesystem::path&) override {
    return fail(Code::unsupported, "files");
  }
  Result<std::unique_ptr<ObjectWriter>> create(std::string_view) override { return fail(Code::unsupported, "writers"); }

  Result<Bytes> get(std::string_view key, std::uint64_t bytes_max) const override {
    const auto object = find(key);
    if (!object) return pass(object);
    if ((*object)->size() > bytes_max) return fail(Code::limit, "object too large");
    return **object;
  }
  Result<std::unique_ptr<ObjectReader>> open(std::string_view key) const override {
    const auto object = find(key);
    if (!object) return pass(object);
    return std::make_unique<Reader>(*object);
  }
  Result<std::filesystem::path> local_path(std::string_view) const override { return fail(Code::unsupported, "files"); }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix) const override {
    const std::scoped_lock lock{mutex_};
    std::vector<ObjectInfo> found;
    for (const auto& [key, object] : objects_) {
      if (key.starts_with(prefix)) found.push_back({key, object->size()});
    }
    return found;
  }
  Result<void> remove(std::string_view key) override {
    const std::scoped_lock lock{mutex_};
    objects_.erase(std::string{key});
    return {};
  }
  Result<void> remove_all(std::string_view prefix) override {
    const std::scoped_lock lock{mutex_};
    std::erase_if(objects_, [&](const auto& object) { return object.first.starts_with(prefix); });
    return {};
  }

 private:
  using Object = std::shared_ptr<const Bytes>;
  class Reader : public ObjectReader {
   public:
    explicit Reader(Object object) : object_(std::move(object)) {}
    [[nodiscard]] std::uint64_t size() const override { return object_->size(); }
    Result<Bytes> read(std::uint64_t offset, std::size_t size) const override {
      if (offset > object_->size() || size > object_->size() - offset) return fail(Code::malformed, "past the end");
      const auto begin = object_->begin() + static_cast<std::ptrdiff_t>(offset);
      return Bytes{begin, begin + static_cast<std::ptrdiff_t>(size)};
    }

   private:
    Object object_;
  };

  Result<Object> find(std::string_view key) const {
    ++const_cast<MemoryStore*>(this)->reads;
    if (broken) return fail(Code::io, "broken");
    const std::scoped_lock lock{mutex_};
    const auto found = objects_.find(std::string{key});
    if (found == objects_.end()) return fail(Code::not_found, "no object", key);
    return found->second;
  }

  mutable std::mutex mutex_;
  std::map<std::string, Object> objects_;
};

inline media::TrackConfig video_config() {
  media::TrackConfig config;
  config.codec = media::CodecId::h264;
  config.codec_config = from_hex(
                            "0164000dffe1001e6764000dacd941519e226c39a808080a00000300020000030078"
                            "1e28532c01000468ef8fcbfdf8f800")
                            .value();
  config.timescale = 90'000;
  config.width = 322;
  config.height = 182;
  return config;
}

inline media::TrackConfig audio_config() {
  media::TrackConfig config;
  config.kind = media::TrackKind::audio;
  config.codec = media::CodecId::aac;
  config.codec_config = from_hex("119056e500").value();
  config.timescale = 48'000;
  config.sample_rate = 48'000;
  config.channels = 2;
  return config;
}

/// A track's file from whole segments (each one or more chunks).
struct TrackFile {
  Bytes bytes;
  std::vector<Bytes> segments;
  Bytes init;
};

inline TrackFile make_track_file(const media::TrackConfig& config,
                                 const std::vector<std::vector<media::Sample>>& segments) {
  TrackFile file;
  file.init = media::write_init(config).value();
  media::SegmentIndex index{.timescale = config.timescale, .references = {}};
  index.earliest_presentation_time = static_cast<std::uint64_t>(segments.front().front().pts());
  std::uint32_t sequence = 0;
  for (const auto& samples : segments) {
    file.segments.push_back(media::write_chunk(config, ++sequence, samples).value());
    std::uint32_t duration = 0;
    for (const media::Sample& sample : samples) duration += sample.duration;
    index.references.push_back(
        {.bytes = static_cast<std::uint32_t>(file.segments.back().size()), .duration = duration});
  }
  const Bytes sidx = media::write_sidx(index).value();
  for (const Bytes* part : {static_cast<const Bytes*>(&file.init), &sidx})
    file.bytes.insert(file.bytes.end(), part->begin(), part->end());
  for (const Bytes& segment : file.segments) file.bytes.insert(file.bytes.end(), segment.begin(), segment.end());
  return file;
}

inline const Bytes kFrame(20'000, std::byte{0x33});

/// A track of nothing: segments of `frames` samples of `ticks` each, segment i with `sizes[i]` bytes a frame.
inline TrackFile make_plain_file(const media::TrackConfig& config, const std::vector<std::size_t>& sizes,
                                 std::size_t frames, std::uint32_t ticks, std::int64_t start = 0) {
  std::vector<std::vector<media::Sample>> segments;
  std::int64_t dts = start;
  for (const std::size_t size : sizes) {
    std::vector<media::Sample> samples;
    for (std::size_t i = 0; i < frames; ++i) {
      samples.push_back(
          {.dts = dts, .duration = ticks, .cts_offset = 0, .sync = i == 0, .data = ByteSpan{kFrame}.first(size)});
      dts += ticks;
    }
    segments.push_back(std::move(samples));
  }
  return make_track_file(config, segments);
}

inline const std::string kVideo = "0123456789abcdef";
inline const std::string kVersion = "7";

inline std::string record_json(std::string_view video_tracks, std::string_view audio_tracks) {
  return R"({"video":")" + kVideo + R"(","version":")" + kVersion +
         R"(","duration_ms":6000,"segment_target_ms":2000,"video_tracks":[)" + std::string{video_tracks} +
         R"(],"audio_tracks":[)" + std::string{audio_tracks} + R"(],"poster":"poster.jpg"})";
}
inline std::string video_json(std::string_view track, int width = 322, int height = 182) {
  return R"({"track":")" + std::string{track} + R"(","file":")" + std::string{track} +
         R"(.cmfv","codecs":"avc1.64000d","width":)" + std::to_string(width) + R"(,"height":)" +
         std::to_string(height) + R"(,"fps":30.0,"timescale":90000,"duration":540000})";
}
inline std::string audio_json(std::string_view track, std::string_view language = "und") {
  return R"({"track":")" + std::string{track} + R"(","file":")" + std::string{track} +
         R"(.cmfa","codecs":"mp4a.40.2","sample_rate":48000,"channels":2,"language":")" + std::string{language} +
         R"(","timescale":48000,"duration":288000})";
}

/// The keys of kVideo's kVersion.
inline std::string key_of(std::string_view file) { return "vod/" + kVideo + "/" + kVersion + "/" + std::string{file}; }

struct PlainVideo {
  TrackFile high = make_plain_file(video_config(), {3000, 5000, 2000}, 60, 3000);
  TrackFile low = make_plain_file(video_config(), {1000, 900, 400}, 60, 3000);
  TrackFile audio = make_plain_file(audio_config(), {200, 210, 205}, 94, 1024);

  void put(ObjectStore& store) const {
    put_all(store, record_json(video_json("v180") + "," + video_json("v90", 160, 90), audio_json("a128", "ita")));
  }
  void put_all(ObjectStore& store, const std::string& record) const {
    static_cast<void>(store.put(key_of("v180.cmfv"), high.bytes));
    static_cast<void>(store.put(key_of("v90.cmfv"), low.bytes));
    static_cast<void>(store.put(key_of("a128.cmfa"), audio.bytes));
    static_cast<void>(store.put(key_of("poster.jpg"), as_bytes("a poster")));
    static_cast<void>(store.put(key_of("video.json"), as_bytes(record)));
  }
};

}  // namespace ribalta::packager::testing
