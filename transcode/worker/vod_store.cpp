#include "transcode/worker/vod_store.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <limits>
#include <utility>

#include "core/json.h"
#include "core/media/cmaf_reader.h"
#include "core/media/cmaf_writer.h"
#include "core/media/codec_config.h"

namespace ribalta::transcode {
namespace {

constexpr std::size_t kCopyBytes = 4 * 1024 * 1024;

Result<void> write_all(int descriptor, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return fail_errno("write to the spool");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

VodStore::VodStore(ObjectStore& store, std::filesystem::path spool, std::string video, std::string version,
                   std::int64_t segment_ms, const media::LadderOptions& ladder, std::function<void(double)> on_progress)
    : store_(store),
      spool_(std::move(spool)),
      video_(std::move(video)),
      version_(std::move(version)),
      segment_ms_(segment_ms),
      ladder_(ladder),
      on_progress_(std::move(on_progress)) {}

Result<void> VodStore::report(const VodReport& report) {
  if (!tracks_.empty()) return fail(Code::malformed, "a second report");
  if (report.rungs.empty()) return fail(Code::malformed, "a report without rungs");
  // The child's plan must be the one that we would have made: track names become object names.
  const media::LadderSource size{std::max(report.width, media::kSideMin), std::max(report.height, media::kSideMin),
                                 report.fps};
  const auto rungs = media::vod_ladder(size, ladder_);
  if (!rungs || *rungs != report.rungs)
    return fail(Code::malformed, "a report whose rungs do not follow from its size");
  if (report.audio.size() > 1) return fail(Code::limit, "sound tracks", report.audio.size());
  if (!report.audio.empty() && report.audio[0] != media::encoded_audio())
    return fail(Code::malformed, "another sound track");
  for (const media::LadderVideo& rung : report.rungs) {
    Track track;
    track.name = rung.track;
    track.codecs = rung.codecs;
    tracks_.push_back(std::move(track));
  }
  for (const media::LadderAudio& audio : report.audio) {
    Track track;
    track.name = audio.track;
    track.codecs = audio.codecs;
    track.audio = true;
    tracks_.push_back(std::move(track));
  }
  std::error_code error;
  std::filesystem::create_directories(spool_, error);
  for (Track& track : tracks_) {
    track.spool = Descriptor{::open(spool_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)};
    if (track.spool.get() < 0) return fail_errno("open the spool", spool_.string());
  }
  report_ = report;
  return {};
}

Result<VodStore::Track*> VodStore::find(std::size_t track) {
  if (track >= tracks_.size()) return fail(Code::malformed, "bytes of a track that was not announced:", track);
  return &tracks_[track];
}

Result<void> VodStore::init(std::size_t track, Bytes bytes) {
  const Result<Track*> found = find(track);
  if (!found) return pass(found);
  Track& mine = **found;
  if (!mine.init.empty()) return fail(Code::malformed, "a second init segment of", mine.name);
  Result<media::TrackConfig> config = media::parse_init(bytes);
  if (!config) return config.error().in("init segment", mine.name);
  const Result<std::string> codecs = media::codec_string(*config);
  if (!codecs) return codecs.error().in("init segment", mine.name);
  if (*codecs != mine.codecs) return fail(Code::malformed, "codec " + *codecs + " instead of", mine.codecs);
  if (!mine.audio && (config->width != report_.rungs[track].width || config->height != report_.rungs[track].height)) {
    return fail(Code::malformed, "another size than planned:", mine.name);
  }
  mine.config = std::move(*config);
  mine.init = std::move(bytes);
  return {};
}

Result<void> VodStore::chunk(std::size_t track, Bytes bytes) {
  const Result<Track*> found = find(track);
  if (!found) return pass(found);
  Track& mine = **found;
  if (mine.init.empty()) return fail(Code::malformed, "a segment before its init segment:", mine.name);
  const Result<media::Chunk> chunk = media::parse_chunk(bytes, mine.config);
  if (!chunk) return chunk.error().in("segment", mine.name);
  if (mine.segments.empty()) {
    mine.begins = chunk->decode_time;
    mine.presentation = chunk->presentation_time;
  } else if (chunk->decode_time != mine.ends) {
    return fail(Code::malformed, "a segment that does not follow the one before:", mine.name);
  }
  if (!chunk->first_is_sync) return fail(Code::malformed, "a segment that begins without a key frame:", mine.name);
  if (mine.segments.size() >= media::kSegmentReferencesMax) return fail(Code::limit, "too many segments:", mine.name);
  if (mine.bytes + bytes.size() > kTrackBytesMax) return fail(Code::limit, "too many bytes:", mine.name);
  if (chunk->duration > std::numeric_limits<std::uint32_t>::max())
    return fail(Code::limit, "a segment too long:", mine.name);
  if (const Result<void> written = write_all(mine.spool.get(), bytes); !written) return written;
  mine.ends = chunk->decode_end();
  mine.bytes += bytes.size();
  mine.segments.push_back({.bytes = static_cast<std::uint32_t>(bytes.size()),
                           .duration = static_cast<std::uint32_t>(chunk->duration),
                           .starts_with_sap = true,
                           .sap_type = 1});
  return {};
}

Result<void> VodStore::poster(Bytes jpeg) {
  if (jpeg.size() < 4 || read_be16(jpeg) != 0xFFD8) return fail(Code::malformed, "the poster is no JPEG");
  poster_ = std::move(jpeg);
  return {};
}

Result<void> VodStore::progress(double done) {
  on_progress_(done);
  return {};
}

/// ftyp moov, sidx, and the segments from the spool.
Result<void> VodStore::put_track(Track& track, const std::string& file) {
  if (track.segments.empty()) return fail(Code::malformed, "no segment of", track.name);
  Result<Bytes> sidx = media::write_sidx({.track_id = track.config.track_id,
                                          .timescale = track.config.timescale,
                                          .earliest_presentation_time = static_cast<std::uint64_t>(track.presentation),
                                          .first_offset = 0,
                                          .references = track.segments});
  if (!sidx) return sidx.error().in("index", track.name);
  Result<std::unique_ptr<ObjectWriter>> writer = store_.create(prefix() + file);
  if (!writer) return pass(writer);
  Result<void> done = (*writer)->append(track.init);
  if (done) done = (*writer)->append(*sidx);
  Bytes buffer(kCopyBytes);
  for (std::uint64_t offset = 0; done && offset < track.bytes;) {
    const ssize_t got = ::pread(track.spool.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
    if (got <= 0) return fail_errno("read the spool");
    done = (*writer)->append(ByteSpan{buffer}.first(static_cast<std::size_t>(got)));
    offset += static_cast<std::uint64_t>(got);
  }
  if (done) done = (*writer)->commit_durable();
  track.spool.reset();
  return done;
}

Result<VideoRecord> VodStore::publish(const VodSummary& summary) {
  if (tracks_.empty()) return fail(Code::malformed, "work that ended well without a report");
  if (poster_.empty()) return fail(Code::malformed, "no poster");
  VideoRecord record{.video = video_,
                     .version = version_,
                     .duration_ms = std::clamp<std::int64_t>(summary.duration_ms, 1, std::int64_t{1} << 40),
                     .segment_target_ms = segment_ms_,
                     .video_tracks = {},
                     .audio_tracks = {},
                     .poster = "poster.jpg"};
  for (std::size_t i = 0; i < tracks_.size(); ++i) {
    Track& track = tracks_[i];
    const std::string file = track.name + (track.audio ? ".cmfa" : ".cmfv");
    if (const Result<void> put = put_track(track, file); !put) return pass(put);
    const std::int64_t duration = track.ends - track.begins;
    if (track.audio) {
      record.audio_tracks.push_back({.track = track.name,
                                     .file = file,
                                     .codecs = track.codecs,
                                     .sample_rate = track.config.sample_rate,
                                     .channels = track.config.channels,
                                     .language = track.config.language,
                                     .timescale = track.config.timescale,
                                     .duration = duration});
    } else {
      const media::LadderVideo& rung = report_.rungs[i];
      record.video_tracks.push_back({.track = track.name,
                                     .file = file,
                                     .codecs = track.codecs,
                                     .width = rung.width,
                                     .height = rung.height,
                                     .fps = rung.fps,
                                     .timescale = track.config.timescale,
                                     .duration = duration});
    }
  }
  if (const Result<void> put = store_.put_durable(prefix() + "poster.jpg", poster_); !put) return pass(put);
  const std::string text = json_write(record);
  if (const Result<void> put = store_.put_durable(prefix() + "video.json", as_bytes(text)); !put) return pass(put);
  return record;
}

Result<void> VodStore::remove() { return store_.remove_all(prefix()); }

}  // namespace ribalta::transcode
