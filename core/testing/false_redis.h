// For tests: what answers where a Redis should, and counts who came.
#pragma once

#include <doctest/doctest.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <utility>

namespace ribalta::testing {

/// How often something came about, told by one thread and waited for by another.
class Tally {
 public:
  void add() {
    const std::lock_guard lock{mutex_};
    ++count_;
    changed_.notify_all();
  }
  [[nodiscard]] int count() const {
    const std::lock_guard lock{mutex_};
    return count_;
  }
  /// Returns once it came about this often (fails the test: not within 20 s).
  void wait_for(int count) {
    std::unique_lock lock{mutex_};
    REQUIRE(changed_.wait_for(lock, std::chrono::seconds{20}, [this, count] { return count_ >= count; }));
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  int count_ = 0;
};

/// What answers where a Redis should: the same bytes to whoever comes, once something was asked (or at once).
class FalseRedis {
 public:
  FalseRedis(const std::filesystem::path& folder, std::string bytes, bool unasked)
      : path_(folder / "redis.sock"), bytes_(std::move(bytes)), unasked_(unasked) {
    ::signal(SIGPIPE, SIG_IGN);
    sockaddr_un where{.sun_family = AF_UNIX};
    path_.string().copy(where.sun_path, sizeof where.sun_path - 1);
    listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(listener_, reinterpret_cast<sockaddr*>(&where), sizeof where) == 0);
    REQUIRE(::listen(listener_, 8) == 0);
    thread_ = std::thread{[this] { serve(); }};
  }
  ~FalseRedis() {
    {
      // Whoever is being served may wait for more, and keep the line.
      const std::lock_guard lock{mutex_};
      ending_ = true;
      if (peer_ >= 0) ::shutdown(peer_, SHUT_RDWR);
    }
    ::shutdown(listener_, SHUT_RDWR);
    thread_.join();
    ::close(listener_);
  }
  FalseRedis(const FalseRedis&) = delete;
  FalseRedis& operator=(const FalseRedis&) = delete;
  [[nodiscard]] std::string address() const { return "unix:" + path_.string(); }
  Tally came;  ///< connections

 private:
  void serve() {
    for (;;) {
      const int peer = ::accept(listener_, nullptr, nullptr);
      if (peer < 0) return;
      came.add();
      if (!hold(peer)) {
        ::close(peer);
        return;
      }
      char asked[1024];
      if (unasked_ || ::recv(peer, asked, sizeof asked, 0) > 0) {
        ::send(peer, bytes_.data(), bytes_.size(), MSG_NOSIGNAL);
        while (::recv(peer, asked, sizeof asked, 0) > 0) continue;  // until the other end has had enough
      }
      hold(-1);
      ::close(peer);
    }
  }
  /// @return false when all ends.
  bool hold(int peer) {
    const std::lock_guard lock{mutex_};
    peer_ = peer;
    return !ending_;
  }
  std::filesystem::path path_;
  std::string bytes_;
  bool unasked_;
  int listener_ = -1;
  std::mutex mutex_;
  int peer_ = -1;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace ribalta::testing
