// The socket of one publisher, plain or TLS, behind one interface.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "core/async.h"
#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::ingest {

using TcpSocket = asio::ip::tcp::socket;

class Wire {
 public:
  virtual ~Wire() = default;
  /// The TLS handshake, or nothing.
  virtual Task<Result<void>> greet() = 0;
  /// Returns once something has come or the connection is over, so that nobody holds a buffer for a peer that is idle.
  /// @error closed: interrupted by `interrupt`.
  virtual Task<Result<void>> readable() = 0;
  /// @return bytes read; 0 when the peer has closed. @error closed: reset, or interrupted by `interrupt`.
  virtual Task<Result<std::size_t>> read_some(std::span<std::byte> buffer) = 0;
  /// Whether a read of `count` bytes into a buffer of `size` left nothing behind. TLS never knows: it reads by records.
  [[nodiscard]] virtual bool took_all(std::size_t count, std::size_t size) const = 0;
  /// @error timeout: nobody took it from the wire (tune()); closed: reset, or interrupted.
  virtual Task<Result<void>> write(ByteSpan bytes) = 0;
  /// Ends a pending read or write with `closed`; a later write still goes out.
  virtual void interrupt() = 0;
  /// What was written is still delivered (FIN), then the socket is gone.
  virtual void close() = 0;
};

std::unique_ptr<Wire> make_wire(TcpSocket socket);

/// Certificate and key, read once at start.
class TlsContext {
 public:
  static Result<std::unique_ptr<TlsContext>> open(const std::filesystem::path& cert, const std::filesystem::path& key);
  virtual ~TlsContext() = default;
  virtual std::unique_ptr<Wire> make_wire(TcpSocket socket) = 0;
};

/// The error of a write that failed.
std::unexpected<Error> unwritten(const boost::system::error_code& error);

/// No delay, keep-alive, and data that nobody acknowledges for 10 s ends the connection (TCP_USER_TIMEOUT).
void tune(TcpSocket& socket);

}  // namespace ribalta::ingest
