// The fields of tus 1.0.0 (https://tus.io/protocols/resumable-upload), read from strangers' requests. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"

namespace ribalta::ingest::tus {

inline constexpr std::string_view kVersion = "1.0.0";
inline constexpr std::string_view kExtensions = "creation,creation-with-upload,termination,checksum,expiration";
inline constexpr std::string_view kChecksums = "sha1,sha256";
/// Upload-Metadata as sent: a file name, a title and a type take some hundred bytes.
inline constexpr std::size_t kMetadataBytesMax = 4 * 1024;
inline constexpr std::size_t kMetadataPairsMax = 32;
/// One file. How much a person may upload is the control plane's quota; this is what one number may say.
inline constexpr std::int64_t kUploadBytesMax = std::int64_t{64} * 1024 * 1024 * 1024;

/// Upload-Length, Upload-Offset: a decimal number without sign.
/// @error malformed: anything else; limit: over kUploadBytesMax.
Result<std::int64_t> parse_size(std::string_view field);

/// Upload-Metadata: `key base64, key base64, key`. Values may be empty.
class Metadata {
 public:
  /// @error limit: kMetadataBytesMax, kMetadataPairsMax; malformed: a pair without key, a repeated key, bad base64, or
  /// a value with control characters.
  static Result<Metadata> parse(std::string_view field);
  /// The value of that key, or empty.
  [[nodiscard]] std::string_view get(std::string_view key) const;

 private:
  std::vector<std::pair<std::string, std::string>> pairs_;
};

enum class ChecksumKind : std::uint8_t { sha1, sha256 };
struct Checksum {
  ChecksumKind kind{};
  Bytes digest;
};
/// Upload-Checksum: `sha1 base64`. @error unsupported: another algorithm; malformed: no digest of its length.
Result<Checksum> parse_checksum(std::string_view field);

/// A digest that is fed as bytes come (OpenSSL).
class Hasher {
 public:
  explicit Hasher(ChecksumKind kind);
  ~Hasher();
  Hasher(Hasher&&) noexcept;
  Hasher& operator=(Hasher&&) noexcept;
  void add(ByteSpan bytes);
  Bytes finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// IMF-fixdate of RFC 9110 §5.6.7, as Upload-Expires has it.
std::string http_date(std::int64_t unix_ms);

}  // namespace ribalta::ingest::tus
