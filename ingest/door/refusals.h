// What the log says of connections that were refused or that ended badly. Whoever knocks decides how often that is, so
// the log does not repeat itself: each reason stands there once for each client and period, then how often it came
// again.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ribalta::ingest {

/// How long a reason of a client is only counted after its line.
inline constexpr std::chrono::seconds kRefusalPeriod{10};
/// Pairs of reason and client with a line of their own in a period. Beyond, all are counted together: some 130 lines in
/// ten seconds are what the worst flood writes.
inline constexpr std::size_t kRefusalLinesMax = 64;

class Refusals {
 public:
  struct Repeated {
    std::string reason;  ///< empty: those that found no line of their own
    std::string client;  ///< its network (core/network.h), or empty
    std::uint64_t count = 0;
  };

  /// Counts one. Any thread. @return true: it is to be written now.
  bool note(std::string_view client, std::string_view reason);
  /// Ends the period: what was counted and not written in it.
  std::vector<Repeated> end_period();

 private:
  std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::uint64_t> repeated_;  ///< reason and client
  std::uint64_t others_ = 0;
};

}  // namespace ribalta::ingest
