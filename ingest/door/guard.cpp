#include "ingest/door/guard.h"

#include <algorithm>
#include <cassert>

namespace ribalta::ingest {

SteadyTime Deadlines::next() const {
  switch (phase_) {
    case Phase::publishing:
      return heard_ + kSilenceMax;
    case Phase::after:
      return ended_ + kLingerMax;
    case Phase::before:
      break;
  }
  return accepted_ + (handshake_done_ ? rtmp::kPublishDeadline : rtmp::kHandshakeDeadline);
}

Result<void> Deadlines::check(SteadyTime now) const {
  if (now < next()) return {};
  switch (phase_) {
    case Phase::publishing:
      return fail(Code::timeout, "the publisher fell silent");
    case Phase::after:
      return fail(Code::timeout, "nothing came after the end of the publish");
    case Phase::before:
      break;
  }
  return fail(Code::timeout, handshake_done_ ? "no publish within the deadline" : "no handshake within the deadline");
}

Result<void> ConnectionCounts::enter(const std::string& address) {
  const std::scoped_lock lock{mutex_};
  if (count_ >= max_) return fail(Code::limit, "connections: more than", max_);
  std::size_t& of_address = addresses_[address];
  if (of_address >= per_address_max_)
    return fail(Code::limit, "connections of one address: more than", per_address_max_);
  ++of_address;
  ++count_;
  return {};
}

void ConnectionCounts::leave(const std::string& address) {
  const std::scoped_lock lock{mutex_};
  const auto found = addresses_.find(address);
  assert(found != addresses_.end() && count_ > 0);
  --count_;
  if (--found->second == 0) addresses_.erase(found);
}

std::size_t ConnectionCounts::size() const {
  const std::scoped_lock lock{mutex_};
  return count_;
}

}  // namespace ribalta::ingest
