#include "transcode/media/input.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace ribalta::transcode {
namespace {

constexpr int kIoBufferBytes = 256 * 1024;
/// How much is read to learn what streams there are.
constexpr std::int64_t kProbeBytesMax = 16 * 1024 * 1024;
constexpr std::int64_t kAnalyzeMicrosecondsMax = 10'000'000;
/// Boxes looked at on the top level of an MP4, and bytes of its moov that are searched for names of encryption.
constexpr int kBoxesMax = 4096;
constexpr std::size_t kMoovBytesSearched = 4 * 1024 * 1024;

bool has_type(ByteSpan head, std::string_view type, std::size_t at) {
  return head.size() >= at + type.size() && as_text(head.subspan(at, type.size())) == type;
}

bool is_image_brand(ByteSpan head) {
  for (const std::string_view brand : {"avif", "avis", "heic", "heix", "hevc", "mif1", "msf1"}) {
    if (has_type(head, brand, 8)) return true;
  }
  return false;
}

}  // namespace

Signature signature_of(ByteSpan head) {
  using namespace std::string_view_literals;
  if (has_type(head, "ftyp", 4)) return is_image_brand(head) ? Signature::still_image : Signature::mp4;
  for (const std::string_view type : {"moov", "mdat", "free", "skip", "wide", "styp", "moof", "sidx", "pnot", "prft"}) {
    if (has_type(head, type, 4)) return Signature::mp4;
  }
  if (has_type(head, "\x1a\x45\xdf\xa3"sv, 0)) return Signature::matroska;
  if (has_type(head, "OggS", 0)) return Signature::ogg;
  if (has_type(head, "\xff\xd8\xff"sv, 0) || has_type(head, "\x89PNG"sv, 0)) return Signature::still_image;
  if (has_type(head, "RIFF", 0) && has_type(head, "WEBP", 8)) return Signature::still_image;
  if (has_type(head, "II*\0"sv, 0) || has_type(head, "MM\0*"sv, 0)) return Signature::still_image;
  if (has_type(head, "RIFF", 0) && has_type(head, "WAVE", 8)) return Signature::audio_only;
  if (has_type(head, "ID3", 0) || has_type(head, "fLaC", 0) || has_type(head, "#!AMR", 0)) return Signature::audio_only;
  // MPEG audio layer III or ADTS without tags.
  if (has_type(head, "\xff\xfb"sv, 0) || has_type(head, "\xff\xf1"sv, 0) || has_type(head, "\xff\xf9"sv, 0)) {
    return Signature::audio_only;
  }
  return Signature::unknown;
}

Mp4Layout read_mp4_layout(int descriptor, std::uint64_t bytes) {
  Mp4Layout layout;
  std::uint64_t offset = 0;
  for (int count = 0; count < kBoxesMax && offset + 8 <= bytes; ++count) {
    std::array<std::byte, 16> header{};
    const ssize_t got = ::pread(descriptor, header.data(), header.size(), static_cast<off_t>(offset));
    if (got < 8) break;
    std::uint64_t size = read_be32(header);
    if (size == 1 && got == 16) size = read_be64(ByteSpan{header}.subspan(8));
    if (size == 0) size = bytes - offset;
    const std::string_view type = as_text(ByteSpan{header}.subspan(4, 4));
    const bool whole = size >= 8 && size <= bytes - offset;
    if (type == "moof" && !layout.moov) layout.moof_before_moov = true;
    if (type == "moof") layout.moof = true;
    if (type == "mdat") {
      layout.mdat_any = true;
      if (whole && size > 16) layout.mdat_whole = true;
    }
    if (type == "moov" && whole) {
      layout.moov = true;
      Bytes body(static_cast<std::size_t>(std::min<std::uint64_t>(size, kMoovBytesSearched)));
      const ssize_t read = ::pread(descriptor, body.data(), body.size(), static_cast<off_t>(offset));
      const std::string_view text = as_text(ByteSpan{body}.first(static_cast<std::size_t>(std::max<ssize_t>(read, 0))));
      for (const std::string_view name : {"encv", "enca", "pssh", "schm"}) {
        if (text.find(name) != std::string_view::npos) layout.encrypted = true;
      }
    }
    if (size < 8 || size > bytes - offset) break;
    offset += size;
  }
  return layout;
}

int MediaInput::read_bytes(void* self, std::uint8_t* buffer, int size) {
  auto& input = *static_cast<MediaInput*>(self);
  const ssize_t got = ::pread(input.descriptor_, buffer, static_cast<std::size_t>(size), input.offset_);
  if (got < 0) return AVERROR(errno);
  if (got == 0) return AVERROR_EOF;
  input.offset_ += got;
  return static_cast<int>(got);
}

std::int64_t MediaInput::seek(void* self, std::int64_t offset, int whence) {
  auto& input = *static_cast<MediaInput*>(self);
  const auto bytes = static_cast<std::int64_t>(input.bytes_);
  std::int64_t target = offset;
  switch (whence & ~AVSEEK_FORCE) {
    case AVSEEK_SIZE:
      return bytes;
    case SEEK_SET:
      break;
    case SEEK_CUR:
      target = input.offset_ + offset;
      break;
    case SEEK_END:
      target = bytes + offset;
      break;
    default:
      return AVERROR(EINVAL);
  }
  if (target < 0) return AVERROR(EINVAL);
  input.offset_ = target;
  return target;
}

Result<std::unique_ptr<MediaInput>> MediaInput::open(int descriptor, std::uint64_t bytes) {
  std::unique_ptr<MediaInput> input{new MediaInput{descriptor, bytes}};
  auto* buffer = static_cast<unsigned char*>(av_malloc(kIoBufferBytes));
  if (!buffer) return fail(Code::limit, "no memory for reading");
  input->io_ = avio_alloc_context(buffer, kIoBufferBytes, 0, input.get(), read_bytes, nullptr, seek);
  if (!input->io_) {
    av_free(buffer);
    return fail(Code::limit, "no memory for reading");
  }
  AVFormatContext* format = avformat_alloc_context();
  if (!format) return fail(Code::limit, "no memory for reading");
  format->pb = input->io_;
  format->flags |= AVFMT_FLAG_CUSTOM_IO;
  format->probesize = kProbeBytesMax;
  format->max_analyze_duration = kAnalyzeMicrosecondsMax;
  format->max_streams = kTracksMax;

  AVDictionary* raw_options = nullptr;
  av_dict_set(&raw_options, "format_whitelist", kFormatsAllowed, 0);
  av_dict_set(&raw_options, "protocol_whitelist", "", 0);
  const int opened = avformat_open_input(&format, nullptr, nullptr, &raw_options);
  av_dict_free(&raw_options);
  if (opened < 0) return fail_av(Code::malformed, "open container", opened);  // libav has freed the context
  input->format_ = format;
  const int found = avformat_find_stream_info(format, nullptr);
  if (found < 0) return fail_av(Code::malformed, "find streams", found);
  return input;
}

MediaInput::~MediaInput() {
  if (format_) avformat_close_input(&format_);
  if (io_) {
    av_freep(static_cast<void*>(&io_->buffer));
    avio_context_free(&io_);
  }
}

double MediaInput::position() const {
  if (bytes_ == 0) return 1;
  return std::clamp(static_cast<double>(offset_) / static_cast<double>(bytes_), 0.0, 1.0);
}

Result<bool> MediaInput::read(AVPacket& packet) {
  av_packet_unref(&packet);
  const int got = av_read_frame(format_, &packet);
  if (got == AVERROR(ENOMEM)) return fail_av(Code::limit, "read", got);
  return got >= 0;
}

void MediaInput::keep_only(int video, int audio) {
  for (unsigned i = 0; i < format_->nb_streams; ++i) {
    const int index = static_cast<int>(i);
    format_->streams[i]->discard = index == video || index == audio ? AVDISCARD_DEFAULT : AVDISCARD_ALL;
  }
}

}  // namespace ribalta::transcode
