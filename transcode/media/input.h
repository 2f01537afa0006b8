// A stranger's file behind a descriptor, opened by libavformat with a list of allowed formats and no protocols: libav
// otherwise follows a playlist that calls itself .mp4 to other files.
#pragma once

#include <cstdint>
#include <memory>

#include "core/bytes.h"
#include "core/result.h"
#include "transcode/media/av.h"

namespace ribalta::transcode {

/// Demuxers that uploads may reach. gif is there for animations; raw streams, playlists and images are not.
inline constexpr const char* kFormatsAllowed = "mov,matroska,mpegts,mpeg,avi,flv,ogg,gif";
/// Tracks in one file: cameras write some, editors a dozen.
inline constexpr int kTracksMax = 128;

/// What the first bytes of a file say it is, before any demuxer sees it.
enum class Signature : std::uint8_t { unknown, mp4, matroska, ogg, still_image, audio_only };
Signature signature_of(ByteSpan head);

/// The top level of an MP4, as far as it explains why libav could not read it.
struct Mp4Layout {
  bool moov = false;
  bool moof = false;
  bool moof_before_moov = false;
  bool mdat_whole = false;  ///< some mdat with content ends inside the file
  bool mdat_any = false;
  bool encrypted = false;  ///< the moov names encv, enca or a protection scheme
};
Mp4Layout read_mp4_layout(int descriptor, std::uint64_t bytes);

class MediaInput {
 public:
  /// Reads headers and looks for streams. The descriptor stays the caller's; several inputs may share it.
  /// @error malformed: not a format on the list, or its header is broken.
  static Result<std::unique_ptr<MediaInput>> open(int descriptor, std::uint64_t bytes);
  ~MediaInput();
  MediaInput(const MediaInput&) = delete;
  MediaInput& operator=(const MediaInput&) = delete;

  [[nodiscard]] AVFormatContext& format() { return *format_; }
  [[nodiscard]] const AVStream& stream(int index) const { return *format_->streams[index]; }
  /// How far reading came in the file, 0..1.
  [[nodiscard]] double position() const;
  /// The next packet of any stream that is not discarded. False at the end, or where damage lets nothing be read
  /// beyond.
  /// @error limit: no memory.
  [[nodiscard]] Result<bool> read(AVPacket& packet);
  /// Only packets of these streams are read from now on (-1: none).
  void keep_only(int video, int audio);

 private:
  MediaInput(int descriptor, std::uint64_t bytes) : descriptor_(descriptor), bytes_(bytes) {}
  static int read_bytes(void* self, std::uint8_t* buffer, int size);
  static std::int64_t seek(void* self, std::int64_t offset, int whence);

  int descriptor_;
  std::uint64_t bytes_;
  std::int64_t offset_ = 0;
  AVIOContext* io_ = nullptr;
  AVFormatContext* format_ = nullptr;
};

}  // namespace ribalta::transcode
