// Who may connect and how long for: counts of connections, and deadlines counted from accept. Pure; clocks are passed
// in.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/result.h"
#include "ingest/rtmp/limits.h"

namespace ribalta::ingest {

/// Nothing at all from a publisher for this long: its line is cut. The grace period then runs.
inline constexpr std::chrono::milliseconds kSilenceMax{10'000};
/// A publisher that says nothing for this long gives way to one that comes with the same key: OBS after a cut line.
inline constexpr std::chrono::milliseconds kYieldAfter{2'000};
/// After the end of a publish, a client that neither leaves nor publishes again is closed.
inline constexpr std::chrono::milliseconds kLingerMax{2'000};

using SteadyTime = std::chrono::steady_clock::time_point;

/// Deadlines of one connection. The first two are absolute: dripping bytes does not move them.
class Deadlines {
 public:
  explicit Deadlines(SteadyTime accepted) : accepted_(accepted), heard_(accepted) {}

  void on_bytes(SteadyTime now) { heard_ = now; }
  void on_handshake() { handshake_done_ = true; }
  void on_publish() { phase_ = Phase::publishing; }
  void on_unpublish(SteadyTime now) {
    phase_ = Phase::after;
    ended_ = now;
  }

  /// When the next deadline passes, if nothing happens until then.
  [[nodiscard]] SteadyTime next() const;
  /// @error timeout: which one has passed.
  [[nodiscard]] Result<void> check(SteadyTime now) const;
  [[nodiscard]] SteadyTime heard() const { return heard_; }

 private:
  enum class Phase { before, publishing, after };
  SteadyTime accepted_;
  SteadyTime heard_;
  SteadyTime ended_{};
  bool handshake_done_ = false;
  Phase phase_ = Phase::before;
};

/// Connections in all and of each client (core/network.h: an address, or an IPv6 /64). Any thread.
class ConnectionCounts {
  struct State;

 public:
  /// One connection's, given back by its destructor; may outlive the counts.
  class Place {
   public:
    Place(std::shared_ptr<State> state, std::string client) : state_(std::move(state)), client_(std::move(client)) {}
    Place(Place&&) noexcept = default;
    Place& operator=(Place&&) = delete;
    ~Place();

   private:
    std::shared_ptr<State> state_;
    std::string client_;
  };

  ConnectionCounts(std::size_t max, std::size_t per_client_max);
  /// @error limit: which of the two.
  Result<Place> enter(std::string_view address);
  [[nodiscard]] std::size_t size() const;
  /// Places that were given back.
  [[nodiscard]] std::uint64_t left() const;

 private:
  std::shared_ptr<State> state_;
};

}  // namespace ribalta::ingest
