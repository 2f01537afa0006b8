#include "transcode/sandbox/protocol.h"

#include <sys/uio.h>
#include <unistd.h>

#include <array>
#include <cassert>
#include <cerrno>

namespace ribalta::transcode {

std::optional<std::size_t> payload_bytes_max(std::uint8_t kind) {
  switch (static_cast<MessageKind>(kind)) {
    case MessageKind::request:
    case MessageKind::report:
    case MessageKind::summary:
    case MessageKind::refusal:
    case MessageKind::note:
    case MessageKind::init:
      return kTextBytesMax;
    case MessageKind::end:
      return 0;
    case MessageKind::progress:
      return 4;
    case MessageKind::poster:
      return kPosterBytesMax;
    case MessageKind::media:
    case MessageKind::chunk:
      return kMessageBytesMax;
  }
  return std::nullopt;
}

Bytes message_header(MessageKind kind, std::uint8_t track, std::size_t payload_bytes) {
  assert(payload_bytes <= kMessageBytesMax);
  ByteWriter out;
  out.be32(static_cast<std::uint32_t>(payload_bytes));
  out.u8(static_cast<std::uint8_t>(kind));
  out.u8(track);
  out.be16(0);
  return out.take();
}

void MessageReader::feed(ByteSpan bytes) {
  if (position_ > 0) {
    buffer_.erase(buffer_.begin(), buffer_.begin() + static_cast<std::ptrdiff_t>(position_));
    position_ = 0;
  }
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<Message>> MessageReader::next() {
  if (error_) return std::unexpected{*error_};
  const auto broken = [this](std::unexpected<Error> error) {
    error_ = error.error();
    return error;
  };
  const ByteSpan rest = ByteSpan{buffer_}.subspan(position_);
  if (rest.size() < kMessageHeaderBytes) return std::nullopt;
  const std::size_t size = read_be32(rest);
  const std::uint8_t kind = read_u8(rest.subspan(4));
  const std::uint8_t track = read_u8(rest.subspan(5));
  const std::optional<std::size_t> most = payload_bytes_max(kind);
  if (!most) return broken(fail(Code::malformed, "message of unknown kind", kind));
  if (size > *most) return broken(fail(Code::limit, "message of bytes", size));
  if (track >= kTracksNumberedMax) return broken(fail(Code::limit, "message for track", track));
  if (rest.size() - kMessageHeaderBytes < size) return std::nullopt;
  const ByteSpan payload = rest.subspan(kMessageHeaderBytes, size);
  position_ += kMessageHeaderBytes + size;
  return Message{static_cast<MessageKind>(kind), track, Bytes{payload.begin(), payload.end()}};
}

Result<void> write_message(int descriptor, MessageKind kind, std::uint8_t track, ByteSpan payload) {
  if (payload.size() > kMessageBytesMax) return fail(Code::limit, "message of bytes", payload.size());
  const Bytes header = message_header(kind, track, payload.size());
  for (ByteSpan part : {ByteSpan{header}, payload}) {
    while (!part.empty()) {
      const ssize_t written = ::write(descriptor, part.data(), part.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) return fail(Code::closed, "nobody reads the pipe");
      part = part.subspan(static_cast<std::size_t>(written));
    }
  }
  return {};
}

Result<std::optional<Message>> read_message(int descriptor, MessageReader& reader) {
  std::array<std::byte, 64 * 1024> buffer{};
  for (;;) {
    Result<std::optional<Message>> message = reader.next();
    if (!message || *message) return message;
    const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read a message");
    if (got == 0) {
      if (reader.pending() > 0) return fail(Code::closed, "the pipe ended inside a message");
      return std::nullopt;
    }
    reader.feed(ByteSpan{buffer}.first(static_cast<std::size_t>(got)));
  }
}

}  // namespace ribalta::transcode
