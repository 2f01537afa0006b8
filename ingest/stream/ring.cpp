#include "ingest/stream/ring.h"

#include <cassert>

namespace ribalta::ingest {

void Ring::push(RingChunk chunk) {
  assert(chunk.bytes && chunk.init);
  assert(chunk.decode_end > chunk.decode_time);
  assert(chunks_.empty() || chunk.decode_time >= chunks_.back().decode_end);
  bytes_ += chunk.bytes->size();
  chunks_.push_back(std::move(chunk));
  const auto too_much = [this] {
    return bytes_ > kRingBytesMax ||
           chunks_.back().decode_end - chunks_.front().decode_time > kRingSecondsMax * timescale_;
  };
  while (chunks_.size() > 1 && too_much()) {
    do {
      drop_front();
      ++dropped_;
    } while (chunks_.size() > 1 && !chunks_.front().key);
  }
}

void Ring::drop_front() {
  bytes_ -= chunks_.front().bytes->size();
  chunks_.pop_front();
  ++first_;
}

void Ring::clear() {
  while (!chunks_.empty()) drop_front();
}

void Ring::trim(std::int64_t decode_time_durable) {
  std::size_t keep = 0;
  for (std::size_t i = 0; i < chunks_.size() && chunks_[i].decode_time <= decode_time_durable; ++i) {
    if (chunks_[i].key) keep = i;
  }
  for (std::size_t i = 0; i < keep; ++i) drop_front();
}

const RingChunk& Ring::at(std::uint64_t number) const {
  assert(number >= first() && number < end());
  return chunks_[static_cast<std::size_t>(number - first_)];
}

std::uint64_t Ring::resume(std::int64_t decode_time) const {
  std::size_t i = 0;
  while (i < chunks_.size() && chunks_[i].decode_time < decode_time) ++i;
  const bool begins_there = i < chunks_.size() && chunks_[i].decode_time == decode_time;
  const bool follows_held = i > 0 && chunks_[i - 1].decode_end == decode_time;
  if (!begins_there && !follows_held) {
    while (i < chunks_.size() && !chunks_[i].key) ++i;
  }
  return first_ + i;
}

}  // namespace ribalta::ingest
