// A connected stream socket (TCP or Unix) with one deadline for reading and one for writing, as server and client both
// need it. Inside core/http only. One loop, no locks.
#pragma once

#include <boost/asio/buffer.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <memory>
#include <span>
#include <string>

#include "core/async.h"
#include "core/bytes.h"
#include "core/http/http.h"

namespace ribalta::http {

using Socket = asio::generic::stream_protocol::socket;
using ErrorCode = boost::system::error_code;

/// What asynchronous calls take and give at once: Beast reads at most this much at a time.
inline constexpr std::size_t kPieceBytes = 64 * 1024;
/// A header block is read through a small buffer, since most connections wait between requests.
inline constexpr std::size_t kHeaderBufferBytes = 4 * 1024;

/// A clock that cancels the socket's operations when it runs out. Setting it again costs nothing while the timer behind
/// it is already due earlier: the timer looks when it fires, and waits on.
class Deadline {
 public:
  explicit Deadline(const asio::any_io_executor& loop) : timer_(loop) {}
  /// `owner` keeps the clock and the socket alive while the timer waits.
  void set(const std::shared_ptr<Socket>& socket, std::shared_ptr<Deadline> self, std::chrono::milliseconds time);
  void clear() { active_ = false; }
  void end() {
    active_ = false;
    timer_.cancel();
  }
  [[nodiscard]] bool expired() const { return expired_; }

 private:
  void wait(std::weak_ptr<Socket> socket, std::shared_ptr<Deadline> self);

  asio::steady_timer timer_;
  std::chrono::steady_clock::time_point due_{};
  bool active_ = false;
  bool pending_ = false;
  bool expired_ = false;
};

/// The socket and its two deadlines. Closed when destroyed.
class Stream {
 public:
  explicit Stream(Socket socket);
  ~Stream();
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  [[nodiscard]] Socket& socket() { return *socket_; }
  [[nodiscard]] asio::any_io_executor loop() { return socket_->get_executor(); }

  /// Operations that read end when this much time has passed, until `reading_done`.
  void reading_within(std::chrono::milliseconds time) { read_deadline_->set(socket_, read_deadline_, time); }
  void reading_done() { read_deadline_->clear(); }
  [[nodiscard]] bool read_expired() const { return read_deadline_->expired(); }

  /// Writes everything; the peer may take nothing for at most `idle` at a time. @error closed, timeout.
  Task<Result<void>> write(std::span<const asio::const_buffer> buffers, std::chrono::milliseconds idle);
  /// Reads and drops until the peer has closed, `bytes_max` or `time`: closing with unread bytes would reset the
  /// connection, and the peer could lose the answer that is on its way.
  Task<void> linger(std::size_t bytes_max, std::chrono::milliseconds time);
  void close();

  /// True when the peer has closed its side and nothing that it sent is unread. Never blocks.
  [[nodiscard]] bool peer_closed();

 private:
  std::shared_ptr<Socket> socket_;
  std::shared_ptr<Deadline> read_deadline_;
  std::shared_ptr<Deadline> write_deadline_;
};

/// Connects within the time. @error unavailable, timeout.
Task<Result<std::unique_ptr<Stream>>> connect(Address address, std::chrono::milliseconds time);

/// The line and fields of a message, with CR, LF and NUL in values written as spaces, so that no value can forge a
/// field.
std::string head_text(std::string_view first_line, const Fields& fields, std::string_view more);
std::string_view reason_phrase(unsigned status);

}  // namespace ribalta::http
