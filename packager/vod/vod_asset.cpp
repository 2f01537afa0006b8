#include "packager/vod/vod_asset.h"

#include <algorithm>
#include <utility>

#include "core/media/box_reader.h"
#include "core/media/cmaf_reader.h"
#include "core/media/codec_config.h"
#include "core/units.h"
#include "packager/vod/vod_record.h"

namespace ribalta::packager {
namespace {

/// Read at once from a file's head: init segment and index of an hour take about 25 KiB.
constexpr std::size_t kHeadPieceBytes = 32 * 1024;

/// What stands before the first segment.
struct Head {
  Bytes init;
  media::SegmentIndex index;
  std::uint64_t bytes = 0;  ///< up to the end of the index
};

/// Takes boxes until the index has come. @return true: it has.
Result<bool> take_boxes(media::BoxReader& boxes, Head& head) {
  for (;;) {
    auto box = boxes.next();
    if (!box) return pass(box);
    if (!*box) return false;
    const Bytes& bytes = **box;
    head.bytes += bytes.size();
    switch (read_be32(ByteSpan{bytes}.subspan(4))) {
      case media::box_type("ftyp"):
      case media::box_type("moov"):
        head.init.insert(head.init.end(), bytes.begin(), bytes.end());
        break;
      case media::box_type("sidx"): {
        auto index = media::parse_sidx(bytes);
        if (!index) return pass(index);
        head.index = std::move(*index);
        return true;
      }
      case media::box_type("moof"):
      case media::box_type("mdat"):
        return fail(Code::malformed, "media before any index");
      default:
        break;
    }
  }
}

Result<Head> read_head(const ObjectReader& reader) {
  Head head;
  media::BoxReader boxes;  // its limits bound what is read and held
  for (std::uint64_t at = 0; at < reader.size();) {
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(kHeadPieceBytes, reader.size() - at));
    const auto piece = reader.read(at, size);
    if (!piece) return pass(piece);
    at += size;
    boxes.feed(*piece);
    const auto whole = take_boxes(boxes, head);
    if (!whole) return pass(whole);
    if (*whole) return head;
  }
  return fail(Code::malformed, "no segment index");
}

/// Bits a second, rounded up: a playlist must not promise less than is sent.
std::int64_t bits_per_second(std::uint64_t bytes, std::uint64_t ticks, std::uint32_t timescale) {
  const Int128 bits = Int128{static_cast<std::int64_t>(bytes)} * 8 * timescale;
  const Int128 rate = (bits + static_cast<std::int64_t>(ticks) - 1) / static_cast<std::int64_t>(ticks);
  return static_cast<std::int64_t>(rate);
}

Result<void> place_segments(const Head& head, std::uint64_t file_bytes, VodTrack& track) {
  if (head.index.timescale != track.config.timescale) return fail(Code::malformed, "index on another timescale");
  if (head.index.references.empty()) return fail(Code::malformed, "index without segments");
  if (head.index.first_offset > file_bytes) return fail(Code::malformed, "index points past the end");
  std::uint64_t offset = head.bytes + head.index.first_offset;
  auto time = static_cast<std::int64_t>(head.index.earliest_presentation_time);
  std::uint64_t bytes = 0;
  std::uint64_t ticks = 0;
  for (const media::SegmentReference& reference : head.index.references) {
    if (reference.duration == 0 || reference.bytes == 0) return fail(Code::malformed, "empty segment at", time);
    if (reference.bytes > kSegmentBytesMax) return fail(Code::limit, "segment: bytes", reference.bytes);
    if (!reference.starts_with_sap) return fail(Code::malformed, "segment without a key frame first at", time);
    track.segments.push_back(
        {.offset = offset, .bytes = reference.bytes, .time = time, .duration = reference.duration});
    track.bandwidth =
        std::max(track.bandwidth, bits_per_second(reference.bytes, reference.duration, track.config.timescale));
    offset += reference.bytes;
    time += reference.duration;
    bytes += reference.bytes;
    ticks += reference.duration;
  }
  if (offset != file_bytes) {
    return fail(Code::malformed,
                "index and file disagree in bytes: index ends at " + std::to_string(offset) + ", file at", file_bytes);
  }
  track.bandwidth_average = bits_per_second(bytes, ticks, track.config.timescale);
  return {};
}

Result<VodTrack> load_track(const ObjectStore& store, std::string name, std::string key, media::TrackKind kind) {
  const auto reader = store.open(key);
  if (!reader) {
    // video.json is written last, so a file that it names and that is not there is damage, not absence.
    if (reader.error().code == Code::not_found) return fail(Code::malformed, "file missing:", key);
    return pass(reader);
  }
  auto head = read_head(**reader);
  if (!head) return head.error().in(key);
  auto config = media::parse_init(head->init);
  if (!config) return config.error().in(key);
  if (config->kind != kind) return fail(Code::malformed, "track of the other kind:", key);
  auto codecs = media::codec_string(*config);
  if (!codecs) return codecs.error().in(key);
  VodTrack track;
  track.name = std::move(name);
  track.key = std::move(key);
  track.config = std::move(*config);
  track.codecs = std::move(*codecs);
  if (const auto placed = place_segments(*head, (*reader)->size(), track); !placed) return placed.error().in(track.key);
  track.init = std::move(head->init);
  return track;
}

std::size_t bytes_of(const VodTrack& track) {
  return sizeof(VodTrack) + track.init.size() + track.config.codec_config.size() +
         track.segments.capacity() * sizeof(VodSegment) + track.key.size() + 256;
}

}  // namespace

std::string vod_key(std::string_view video, std::string_view version, std::string_view file) {
  std::string key = "vod/";
  for (const std::string_view part : {video, std::string_view{"/"}, version, std::string_view{"/"}, file}) key += part;
  return key;
}

const VodTrack* VodAsset::find(std::string_view name) const {
  for (const auto* tracks : {&video_tracks, &audio_tracks}) {
    for (const VodTrack& track : *tracks) {
      if (track.name == name) return &track;
    }
  }
  return nullptr;
}

std::size_t VodAsset::bytes() const {
  std::size_t sum = sizeof(VodAsset);
  for (const VodTrack& track : video_tracks) sum += bytes_of(track);
  for (const VodTrack& track : audio_tracks) sum += bytes_of(track);
  return sum;
}

Result<std::shared_ptr<const VodAsset>> load_vod_asset(const ObjectStore& store, std::string_view video,
                                                       std::string_view version) {
  const auto json = store.get(vod_key(video, version, "video.json"), kRecordBytesMax);
  if (!json) return pass(json);
  const auto record = parse_vod_record(as_text(*json));
  if (!record) return pass(record);
  if (record->video != video || record->version != version) return fail(Code::malformed, "video.json of another video");
  auto asset = std::make_shared<VodAsset>();
  asset->video = video;
  asset->version = version;
  asset->poster = record->poster == "poster.jpg";
  for (const VodVideoRecord& from : record->video_tracks) {
    auto track = load_track(store, from.track, vod_key(video, version, from.file), media::TrackKind::video);
    if (!track) return pass(track);
    track->width = from.width;
    track->height = from.height;
    track->fps = from.fps;
    asset->video_tracks.push_back(std::move(*track));
  }
  for (const VodAudioRecord& from : record->audio_tracks) {
    auto track = load_track(store, from.track, vod_key(video, version, from.file), media::TrackKind::audio);
    if (!track) return pass(track);
    track->language = from.language;
    asset->audio_tracks.push_back(std::move(*track));
  }
  return std::shared_ptr<const VodAsset>{std::move(asset)};
}

}  // namespace ribalta::packager
