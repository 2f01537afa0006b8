// The server's side of the RTMP handshake (RTMP 1.0 §5.2), simple and with digests (the undocumented dialect of Flash
// Media Server, which FFmpeg and some hardware encoders speak: a SHA-256 HMAC at one of two places in C1).
//   C0 C1 →          ← S0 S1 S2          C2 →
// S2 is sent before C2 has come; what C2 holds is not looked at, since several clients send zeros.
#pragma once

#include <array>
#include <cstddef>

#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::rtmp {

inline constexpr std::size_t kHandshakeBytes = 1536;  ///< C1, C2, S1, S2
using HandshakeBlock = std::array<std::byte, kHandshakeBytes>;

class Handshake {
 public:
  /// @param random  what S1 is filled with: from the operating system's generator, fixed in tests.
  explicit Handshake(const HandshakeBlock& random) : s1_(random) {}

  /// Takes what belongs to the handshake from the front of `bytes`; answers are appended to `out`.
  /// @return true once the handshake is over; bytes left in `bytes` are the first chunks.
  /// @error malformed: the first byte is not version 3, with a guess at what the client speaks instead; unsupported:
  /// RTMPE.
  Result<bool> feed(ByteSpan& bytes, Bytes& out);

  /// True when the client's C1 held a digest that is right.
  [[nodiscard]] bool digest() const { return digest_; }

 private:
  Result<void> read_version(std::byte version) const;
  void answer(Bytes& out);

  enum class State { version, c1, c2, done };
  State state_ = State::version;
  std::size_t have_ = 0;
  HandshakeBlock c1_{};
  HandshakeBlock s1_;
  bool digest_ = false;
};

/// Where the digest lies in a C1 or S1: schema 0 keeps its offset at byte 8, schema 1 at byte 772.
std::size_t digest_position(const HandshakeBlock& block, int schema);
/// HMAC-SHA256 over the block without the 32 bytes at `position`, by the client's (30 characters) or server's key.
std::array<std::byte, 32> client_digest(const HandshakeBlock& block, std::size_t position);
std::array<std::byte, 32> server_digest(const HandshakeBlock& block, std::size_t position);

}  // namespace ribalta::rtmp
