#include "ingest/rtmp/chunk_reader.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <string>

namespace ribalta::rtmp {
namespace {

constexpr std::uint32_t kTimeIsExtended = 0xFFFFFF;

/// A type 3 header that begins a message after a type 0 adds that header's timestamp again (RTMP 1.0 §5.3.1.2.4).
/// FFmpeg means it so; librtmp means "the same time again". Frames are never further apart than this, so more than it
/// is librtmp.
constexpr std::int64_t kRepeatedDeltaMaxMs = 1000;

/// A media message further than 12 days from the one before it does not yet say where the clock is: after a single one
/// that is half of 32 bits away, the next right one would be taken for a wrap.
constexpr std::int64_t kClockFarMs = std::int64_t{1} << 30;

std::uint32_t length_max(MessageType type, bool authorised) {
  switch (type) {
    case MessageType::set_chunk_size:
    case MessageType::abort:
    case MessageType::acknowledgement:
    case MessageType::user_control:
    case MessageType::window_size:
    case MessageType::peer_bandwidth:
      return kControlMessageBytesMax;
    case MessageType::audio:
    case MessageType::video:
    case MessageType::aggregate:
      return authorised ? kMediaMessageBytesMax : kCommandMessageBytesMax;
    default:
      return kCommandMessageBytesMax;
  }
}

bool is_media(MessageType type) {
  return type == MessageType::audio || type == MessageType::video || type == MessageType::aggregate;
}

}  // namespace

std::int64_t unwrap_time(std::int64_t last, std::uint32_t time) {
  return last + static_cast<std::int32_t>(time - static_cast<std::uint32_t>(last));
}

Result<std::uint32_t> parse_set_chunk_size(ByteSpan payload) {
  if (payload.size() != 4) return fail(Code::malformed, "set chunk size: bytes", payload.size());
  const std::uint32_t size = read_be32(payload);
  if (size > 0x7FFFFFFF) return fail(Code::malformed, "set chunk size: top bit set", size);
  if (size == 0) return fail(Code::malformed, "set chunk size: zero", size);
  return std::min(size, kChunkBytesMax);
}

std::size_t ChunkReader::bytes_held() const {
  std::size_t held = 0;
  for (const ChunkStream& stream : streams_) held += stream.payload.capacity();
  return held;
}

std::int64_t ChunkReader::unwrap(std::uint32_t time) const {
  return media_time_ms_ ? unwrap_time(*media_time_ms_, time) : std::int64_t{time};
}

/// What times are unwrapped beside: the newest message's, and where that is far off, once a second one agrees.
void ChunkReader::follow_clock(std::int64_t time_ms) {
  const auto near = [time_ms](const std::optional<std::int64_t>& other) {
    return other && std::abs(time_ms - *other) < kClockFarMs;
  };
  if (!media_time_ms_ || near(media_time_ms_) || near(suspect_time_ms_)) {
    media_time_ms_ = time_ms;
    suspect_time_ms_.reset();
  } else {
    suspect_time_ms_ = time_ms;
  }
}

Result<std::optional<Message>> ChunkReader::next(ByteSpan& bytes) {
  while (!bytes.empty() || !replay_.empty()) {
    const bool replaying = !replay_.empty();
    const Bytes again = std::exchange(replay_, {});
    ByteSpan in = replaying ? ByteSpan{again} : bytes;
    Result<std::optional<Message>> read = run(in);
    if (!read) return read;
    if (replaying) {
      replay_.insert(replay_.end(), in.begin(), in.end());
    } else {
      bytes = in;
    }
    if (*read) return read;
  }
  return std::nullopt;
}

/// Until a message is whole, bytes must be read again, or `in` is used up.
Result<std::optional<Message>> ChunkReader::run(ByteSpan& in) {
  while (!in.empty() && replay_.empty()) {
    Result<void> step;
    switch (state_) {
      case State::basic: {
        step = read_basic(in.front());
        in = in.subspan(1);
        break;
      }
      case State::extended_again: {
        read_extended_again(in);
        break;
      }
      case State::header:
      case State::extended: {
        const std::size_t count = std::min(in.size(), header_want_ - header_have_);
        std::copy_n(in.begin(), count, header_.begin() + static_cast<std::ptrdiff_t>(header_have_));
        header_have_ += count;
        in = in.subspan(count);
        if (header_have_ == header_want_) step = read_header();
        break;
      }
      case State::payload: {
        const Result<std::size_t> taken = append(in);
        if (!taken) return pass(taken);
        in = in.subspan(*taken);
        break;
      }
    }
    if (!step) return pass(step);
    if (state_ != State::payload) continue;

    ChunkStream& stream = streams_[current_];
    if (stream.payload.size() == stream.length) {
      Result<std::optional<Message>> message = end_message();
      if (!message || *message) return message;
    } else if (chunk_left_ == 0) {
      begin_basic();
    }
  }
  return std::nullopt;
}

void ChunkReader::begin_basic() {
  state_ = State::basic;
  header_have_ = 0;
  header_want_ = 1;
}

/// Basic header: 2 bits of format, then an id in one, two or three bytes, the last little endian (RTMP 1.0 §5.3.1.1).
Result<void> ChunkReader::read_basic(std::byte byte) {
  const auto value = std::to_integer<std::uint32_t>(byte);
  header_[header_have_++] = byte;
  if (header_have_ == 1) {
    format_ = static_cast<std::uint8_t>(value >> 6);
    const std::uint32_t id = value & 63;
    header_want_ = id == 0 ? 2 : id == 1 ? 3 : 1;
    if (header_want_ == 1) return select_stream(id);
    return {};
  }
  if (header_have_ < header_want_) return {};
  std::uint32_t id = 64 + std::to_integer<std::uint32_t>(header_[1]);
  if (header_want_ == 3) id += 256 * std::to_integer<std::uint32_t>(header_[2]);
  return select_stream(id);
}

Result<void> ChunkReader::select_stream(std::uint32_t id) {
  const auto found = std::ranges::find(streams_, id, &ChunkStream::id);
  if (found == streams_.end()) {
    // librtmp begins its control chunk stream with a type 1 header: nothing to be relative to, so relative to zero.
    if (format_ > 1) return fail(Code::malformed, "chunk: first header of a chunk stream has type", format_);
    if (streams_.size() == kChunkStreamsMax) return fail(Code::limit, "chunk streams: more than", kChunkStreamsMax);
    current_ = streams_.size();
    streams_.push_back({.id = id});
  } else {
    current_ = static_cast<std::size_t>(found - streams_.begin());
  }

  ChunkStream& stream = streams_[current_];
  header_have_ = 0;
  if (format_ != 3) {
    if (stream.busy) return fail(Code::malformed, "chunk: a message begins inside another on chunk stream", id);
    constexpr std::array<std::size_t, 3> kHeaderBytes{11, 7, 3};
    header_want_ = kHeaderBytes[format_];
    state_ = State::header;
    return {};
  }
  if (!stream.busy) {
    stream.time_ms += stream.delta_ms;
    const Result<void> taken = check_message(stream);
    if (!taken) return taken;
  }
  if (stream.extended) {
    state_ = State::extended_again;
    return {};
  }
  begin_payload();
  return {};
}

/// Message header (§5.3.1.2), then once more with the four bytes of its extended timestamp (§5.3.1.3) behind it.
Result<void> ChunkReader::read_header() {
  ChunkStream& stream = streams_[current_];
  if (state_ == State::extended) {
    const std::uint32_t time = read_be32(header_);
    read_time(time, true);
    begin_payload();
    return {};
  }
  const std::uint32_t time = read_be24(header_);
  if (format_ <= 1) {
    stream.length = read_be24(ByteSpan{header_}.subspan(3));
    stream.type = static_cast<MessageType>(std::to_integer<std::uint8_t>(header_[6]));
  }
  if (format_ == 0) {
    stream.stream = 0;  // little endian, alone in the protocol
    for (std::size_t i = 4; i > 0; --i)
      stream.stream = stream.stream << 8 | std::to_integer<std::uint32_t>(header_[6 + i]);
  }
  const Result<void> taken = check_message(stream);
  if (!taken) return taken;
  if (time == kTimeIsExtended) {
    state_ = State::extended;
    header_have_ = 0;
    header_want_ = 4;
    return {};
  }
  read_time(time, false);
  begin_payload();
  return {};
}

void ChunkReader::read_time(std::uint32_t field, bool is_extended) {
  ChunkStream& stream = streams_[current_];
  stream.extended = is_extended ? std::optional{field} : std::nullopt;
  if (format_ == 0) {
    stream.time_ms = unwrap(field);
    stream.delta_ms = std::int64_t{field} <= kRepeatedDeltaMaxMs ? field : 0;
    return;
  }
  stream.delta_ms = field;
  // An extended field of a type 1 or 2 header is a delta (§5.3.1.3), of 4.6 hours at least; some encoders write the
  // time itself there. Whichever is nearer to the last message is what was meant.
  if (is_extended) {
    const std::int64_t as_time = unwrap_time(stream.time_ms, field) - stream.time_ms;
    if (std::abs(as_time) < std::int64_t{field}) stream.delta_ms = as_time;
  }
  stream.time_ms += stream.delta_ms;
}

/// After a type 3 header of a chunk stream with an extended timestamp: the specification of 2012 repeats the four
/// bytes, older clients do not. They are there if they are equal; at the first byte that is not, all go back to the
/// payload.
void ChunkReader::read_extended_again(ByteSpan& in) {
  const ChunkStream& stream = streams_[current_];
  assert(stream.extended.has_value());
  const std::array<std::uint32_t, 2> expected{*stream.extended, static_cast<std::uint32_t>(stream.time_ms)};
  while (!in.empty()) {
    header_[header_have_] = in.front();
    const bool equal = std::ranges::any_of(expected, [this](std::uint32_t value) {
      for (std::size_t i = 0; i <= header_have_; ++i) {
        if (header_[i] != static_cast<std::byte>(value >> (24 - 8 * i))) return false;
      }
      return true;
    });
    if (!equal) {
      replay_.assign(header_.begin(), header_.begin() + static_cast<std::ptrdiff_t>(header_have_));
      break;
    }
    in = in.subspan(1);
    if (++header_have_ == 4) break;
    if (in.empty()) return;  // undecided: more bytes are needed
  }
  begin_payload();
}

/// At the start of each message: one step further than the time that is checked here still fits.
Result<void> ChunkReader::check_message(const ChunkStream& stream) const {
  if (std::abs(stream.time_ms) > kTimeMsMax) return fail(Code::limit, "message: time of", stream.time_ms);
  const std::uint32_t max = length_max(stream.type, authorised_);
  if (stream.length <= max) return {};
  return fail(Code::limit, "message of type " + std::to_string(static_cast<int>(stream.type)) + ": bytes",
              stream.length);
}

void ChunkReader::begin_payload() {
  ChunkStream& stream = streams_[current_];
  stream.busy = true;
  assert(stream.payload.size() <= stream.length);
  chunk_left_ = std::min(chunk_bytes_, stream.length - static_cast<std::uint32_t>(stream.payload.size()));
  state_ = State::payload;
}

/// Memory grows with what has come, never with what was declared.
Result<std::size_t> ChunkReader::append(ByteSpan bytes) {
  ChunkStream& stream = streams_[current_];
  const std::size_t count = std::min<std::size_t>(bytes.size(), chunk_left_);
  if (bytes_pending_ + count > kReassemblyBytesMax) {
    return fail(Code::limit, "unfinished messages: bytes", bytes_pending_ + count);
  }
  const std::size_t size = stream.payload.size() + count;
  if (size > stream.payload.capacity()) {
    stream.payload.reserve(std::min<std::size_t>(stream.length, std::max(size, 2 * stream.payload.capacity())));
  }
  stream.payload.insert(stream.payload.end(), bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(count));
  chunk_left_ -= static_cast<std::uint32_t>(count);
  bytes_pending_ += count;
  return count;
}

Result<std::optional<Message>> ChunkReader::end_message() {
  ChunkStream& stream = streams_[current_];
  Message message{stream.type, stream.stream, stream.time_ms, std::exchange(stream.payload, {})};
  stream.busy = false;
  assert(bytes_pending_ >= message.payload.size());
  bytes_pending_ -= message.payload.size();
  begin_basic();
  if (is_media(message.type)) follow_clock(message.time_ms);
  const Result<bool> obeyed = obey(message);
  if (!obeyed) return pass(obeyed);
  if (*obeyed) return std::nullopt;
  return message;
}

Result<bool> ChunkReader::obey(const Message& message) {
  if (message.type == MessageType::set_chunk_size) {
    const Result<std::uint32_t> size = parse_set_chunk_size(message.payload);
    if (!size) return pass(size);
    chunk_bytes_ = *size;
    return true;
  }
  if (message.type == MessageType::abort) {  // §5.4.2: forget what has come of one chunk stream's message
    if (message.payload.size() != 4) return fail(Code::malformed, "abort: bytes", message.payload.size());
    const std::uint32_t id = read_be32(message.payload);
    const auto found = std::ranges::find(streams_, id, &ChunkStream::id);
    if (found != streams_.end() && found->busy) {
      bytes_pending_ -= found->payload.size();
      found->payload = {};
      found->busy = false;
    }
    return true;
  }
  return false;
}

}  // namespace ribalta::rtmp
