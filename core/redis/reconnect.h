// Keeps one Link to an address: connects, waits until it ends, waits a little longer each time that it can't, connects
// again. Inside core/redis only.
#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "core/redis/link.h"

namespace ribalta::redis {

inline constexpr std::chrono::milliseconds kReconnectFirst{100};
inline constexpr std::chrono::milliseconds kReconnectMax{2'000};
inline constexpr std::chrono::milliseconds kConnectMax{2'000};

class Reconnecting : public std::enable_shared_from_this<Reconnecting> {
 public:
  Reconnecting(asio::any_io_executor loop, std::string address);
  virtual ~Reconnecting() = default;
  Reconnecting(const Reconnecting&) = delete;
  Reconnecting& operator=(const Reconnecting&) = delete;

  void start();
  /// No more connections; whatever waits for a reply is told. On the loop, or while it does not run.
  void close();
  [[nodiscard]] const std::shared_ptr<Link>& link() const { return link_; }
  [[nodiscard]] const asio::any_io_executor& loop() const { return loop_; }

 protected:
  /// Drops this link, if it is still the one in use.
  void drop(const std::shared_ptr<Link>& link);

 private:
  /// Called on the loop each time that a connection stands.
  virtual void connected(const std::shared_ptr<Link>& link) = 0;
  /// @return true if it stood for a while.
  Task<bool> hold_one();
  static Task<void> run(std::shared_ptr<Reconnecting> self);

  asio::any_io_executor loop_;
  std::string address_;
  std::shared_ptr<Link> link_;
  std::shared_ptr<Event> changed_;
  bool closed_ = false;
  bool told_ = false;  ///< that it can't be reached: said once, not at each attempt
};

}  // namespace ribalta::redis
