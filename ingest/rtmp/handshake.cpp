#include "ingest/rtmp/handshake.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <cassert>

namespace ribalta::rtmp {
namespace {

constexpr std::size_t kDigestBytes = 32;
using Digest = std::array<std::byte, kDigestBytes>;

// Public constants of the dialect: a name, then 32 bytes that both keys share.
constexpr std::string_view kServerKey{
    "Genuine Adobe Flash Media Server 001"
    "\xF0\xEE\xC2\x4A\x80\x68\xBE\xE8\x2E\x00\xD0\xD1\x02\x9E\x7E\x57\x6E\xEC\x5D\x2D\x29\x80\x6F\xAB\x93\xB8\xE6\x36"
    "\xCF\xEB\x31\xAE",
    68};
constexpr std::string_view kServerName = kServerKey.substr(0, 36);
constexpr std::string_view kClientName{"Genuine Adobe Flash Player 001"};

Digest hmac(ByteSpan key, ByteSpan message) {
  Digest out{};
  unsigned int length = 0;
  const unsigned char* done = HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
                                   reinterpret_cast<const unsigned char*>(message.data()), message.size(),
                                   reinterpret_cast<unsigned char*>(out.data()), &length);
  assert(done != nullptr && length == kDigestBytes);
  return out;
}

Digest block_digest(const HandshakeBlock& block, std::size_t position, std::string_view key) {
  assert(position + kDigestBytes <= block.size());
  std::array<std::byte, kHandshakeBytes - kDigestBytes> joined{};
  const auto after = std::copy_n(block.begin(), position, joined.begin());
  std::copy(block.begin() + static_cast<std::ptrdiff_t>(position + kDigestBytes), block.end(), after);
  return hmac(as_bytes(key), joined);
}

}  // namespace

std::size_t digest_position(const HandshakeBlock& block, int schema) {
  const std::size_t at = schema == 0 ? 8 : 772;
  std::size_t sum = 0;
  for (std::size_t i = 0; i < 4; ++i) sum += std::to_integer<std::size_t>(block[at + i]);
  return sum % 728 + at + 4;
}

std::array<std::byte, 32> client_digest(const HandshakeBlock& block, std::size_t position) {
  return block_digest(block, position, kClientName);
}
std::array<std::byte, 32> server_digest(const HandshakeBlock& block, std::size_t position) {
  return block_digest(block, position, kServerName);
}

Result<void> Handshake::read_version(std::byte version) const {
  switch (std::to_integer<int>(version)) {
    case 3:
      return {};
    case 6:
    case 8:
      return fail(Code::unsupported, "RTMPE is not spoken here: use rtmps:// or rtmp://");
    case 0x16:
      return fail(Code::malformed, "TLS on the port for plain RTMP: use rtmp:// here, or the RTMPS port");
    case 'G':
    case 'P':
    case 'H':
    case 'O':
      return fail(Code::malformed, "HTTP on the RTMP port");
    default:
      return fail(Code::malformed, "handshake: version", std::to_integer<unsigned>(version));
  }
}

Result<bool> Handshake::feed(ByteSpan& bytes, Bytes& out) {
  while (state_ != State::done && !bytes.empty()) {
    if (state_ == State::version) {
      const Result<void> version = read_version(bytes.front());
      if (!version) return pass(version);
      bytes = bytes.subspan(1);
      state_ = State::c1;
      continue;
    }
    const std::size_t count = std::min(bytes.size(), kHandshakeBytes - have_);
    if (state_ == State::c1) std::copy_n(bytes.begin(), count, c1_.begin() + static_cast<std::ptrdiff_t>(have_));
    bytes = bytes.subspan(count);
    have_ += count;
    if (have_ < kHandshakeBytes) break;
    have_ = 0;
    if (state_ == State::c1) {
      answer(out);
      state_ = State::c2;
    } else {
      state_ = State::done;
    }
  }
  return state_ == State::done;
}

void Handshake::answer(Bytes& out) {
  Digest found{};
  int schema = 0;
  const bool versioned = std::any_of(c1_.begin() + 4, c1_.begin() + 8, [](std::byte b) { return b != std::byte{0}; });
  for (int tried = 0; versioned && !digest_ && tried < 2; ++tried) {
    const std::size_t position = digest_position(c1_, tried);
    found = client_digest(c1_, position);
    digest_ = std::equal(found.begin(), found.end(), c1_.begin() + static_cast<std::ptrdiff_t>(position));
    schema = tried;
  }

  // Time 0, then zeros (simple) or the version of a server that knows digests.
  std::fill_n(s1_.begin(), 8, std::byte{0});
  HandshakeBlock s2 = c1_;  // §5.2.4: an exact echo, which several clients check
  if (digest_) {
    s1_[4] = std::byte{4};
    s1_[5] = std::byte{5};
    s1_[7] = std::byte{1};
    const std::size_t position = digest_position(s1_, schema);
    std::ranges::copy(server_digest(s1_, position), s1_.begin() + static_cast<std::ptrdiff_t>(position));
    const Digest key = hmac(as_bytes(kServerKey), found);
    const ByteSpan random = ByteSpan{s1_}.first(kHandshakeBytes - kDigestBytes);
    std::ranges::copy(random, s2.begin());
    const Digest sign = hmac(key, random);
    std::ranges::copy(sign, s2.begin() + (kHandshakeBytes - kDigestBytes));
  }
  out.push_back(std::byte{3});
  out.insert(out.end(), s1_.begin(), s1_.end());
  out.insert(out.end(), s2.begin(), s2.end());
}

}  // namespace ribalta::rtmp
