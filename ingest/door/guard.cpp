#include "ingest/door/guard.h"

#include <algorithm>
#include <cassert>
#include <map>
#include <mutex>

#include "core/network.h"

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

struct ConnectionCounts::State {
  State(std::size_t most, std::size_t most_per_client) : max(most), per_client_max(most_per_client) {}
  const std::size_t max;
  const std::size_t per_client_max;
  std::mutex mutex;
  std::size_t count = 0;
  std::uint64_t left = 0;
  std::map<std::string, std::size_t> clients;
};

ConnectionCounts::ConnectionCounts(std::size_t max, std::size_t per_client_max)
    : state_(std::make_shared<State>(max, per_client_max)) {}

Result<ConnectionCounts::Place> ConnectionCounts::enter(std::string_view address) {
  std::string client = network_of(address);
  const std::scoped_lock lock{state_->mutex};
  if (state_->count >= state_->max) return fail(Code::limit, "connections: more than", state_->max);
  const auto found = state_->clients.find(client);
  if (found != state_->clients.end() && found->second >= state_->per_client_max) {
    return fail(Code::limit, "connections of one client: more than", state_->per_client_max);
  }
  ++state_->clients[client];
  ++state_->count;
  return Place{state_, std::move(client)};
}

ConnectionCounts::Place::~Place() {
  if (!state_) return;
  const std::scoped_lock lock{state_->mutex};
  const auto found = state_->clients.find(client_);
  assert(found != state_->clients.end() && state_->count > 0);
  --state_->count;
  ++state_->left;
  if (--found->second == 0) state_->clients.erase(found);
}

std::size_t ConnectionCounts::size() const {
  const std::scoped_lock lock{state_->mutex};
  return state_->count;
}

std::uint64_t ConnectionCounts::left() const {
  const std::scoped_lock lock{state_->mutex};
  return state_->left;
}

}  // namespace ribalta::ingest
