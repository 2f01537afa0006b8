#include "ingest/tus/protocol.h"

#include <openssl/evp.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <ctime>

namespace ribalta::ingest::tus {
namespace {

std::string_view trimmed(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

bool is_printable(std::string_view text) {
  return std::ranges::none_of(text, [](char c) { return (c >= 0 && c < ' ') || c == '\x7F'; });
}

}  // namespace

Result<std::int64_t> parse_size(std::string_view field) {
  std::int64_t size = 0;
  const auto [end, error] = std::from_chars(field.data(), field.data() + field.size(), size);
  if (field.empty() || field[0] == '-' || error == std::errc::invalid_argument || end != field.data() + field.size()) {
    return fail(Code::malformed, "not a size");
  }
  if (error != std::errc{} || size > kUploadBytesMax) return fail(Code::limit, "bytes: more than", kUploadBytesMax);
  return size;
}

Result<Metadata> Metadata::parse(std::string_view field) {
  if (field.size() > kMetadataBytesMax) return fail(Code::limit, "Upload-Metadata: bytes", field.size());
  Metadata metadata;
  field = trimmed(field);
  while (!field.empty()) {
    const std::size_t comma = field.find(',');
    const std::string_view pair = trimmed(field.substr(0, comma));
    field = comma == std::string_view::npos ? std::string_view{} : field.substr(comma + 1);
    const std::size_t blank = pair.find(' ');
    const std::string_view key = pair.substr(0, blank);
    const std::string_view value = blank == std::string_view::npos ? std::string_view{} : trimmed(pair.substr(blank));
    if (key.empty()) return fail(Code::malformed, "Upload-Metadata: a pair without key");
    const auto same = [key](const auto& earlier) { return earlier.first == key; };
    if (std::ranges::any_of(metadata.pairs_, same)) return fail(Code::malformed, "Upload-Metadata: a key comes twice");
    if (metadata.pairs_.size() == kMetadataPairsMax)
      return fail(Code::limit, "Upload-Metadata: pairs, more than", kMetadataPairsMax);
    const Result<Bytes> decoded = from_base64(value);
    if (!decoded) return decoded.error().in("Upload-Metadata");
    std::string text{as_text(*decoded)};
    if (!is_printable(text)) return fail(Code::malformed, "Upload-Metadata: control characters");
    metadata.pairs_.emplace_back(std::string{key}, std::move(text));
  }
  return metadata;
}

std::string_view Metadata::get(std::string_view key) const {
  const auto found = std::ranges::find_if(pairs_, [key](const auto& pair) { return pair.first == key; });
  return found == pairs_.end() ? std::string_view{} : std::string_view{found->second};
}

Result<Checksum> parse_checksum(std::string_view field) {
  const std::size_t blank = field.find(' ');
  const std::string_view name = field.substr(0, blank);
  Checksum checksum;
  std::size_t bytes = 0;
  if (name == "sha1") {
    checksum.kind = ChecksumKind::sha1;
    bytes = 20;
  } else if (name == "sha256") {
    checksum.kind = ChecksumKind::sha256;
    bytes = 32;
  } else {
    return fail(Code::unsupported, "Upload-Checksum: only sha1 and sha256 are known");
  }
  const std::string_view value = blank == std::string_view::npos ? std::string_view{} : trimmed(field.substr(blank));
  Result<Bytes> digest = from_base64(value);
  if (!digest) return digest.error().in("Upload-Checksum");
  if (digest->size() != bytes) return fail(Code::malformed, "Upload-Checksum: bytes", digest->size());
  checksum.digest = std::move(*digest);
  return checksum;
}

struct Hasher::State {
  std::unique_ptr<EVP_MD_CTX, decltype([](EVP_MD_CTX* context) { EVP_MD_CTX_free(context); })> context{
      EVP_MD_CTX_new()};
};

Hasher::Hasher(ChecksumKind kind) : state_(std::make_unique<State>()) {
  const int begun =
      EVP_DigestInit_ex(state_->context.get(), kind == ChecksumKind::sha1 ? EVP_sha1() : EVP_sha256(), nullptr);
  assert(begun == 1);
}
Hasher::~Hasher() = default;
Hasher::Hasher(Hasher&&) noexcept = default;
Hasher& Hasher::operator=(Hasher&&) noexcept = default;

void Hasher::add(ByteSpan bytes) {
  const int added = EVP_DigestUpdate(state_->context.get(), bytes.data(), bytes.size());
  assert(added == 1);
}

Bytes Hasher::finish() {
  Bytes digest(EVP_MAX_MD_SIZE);
  unsigned int size = 0;
  const int done = EVP_DigestFinal_ex(state_->context.get(), reinterpret_cast<unsigned char*>(digest.data()), &size);
  assert(done == 1);
  digest.resize(size);
  return digest;
}

std::string http_date(std::int64_t unix_ms) {
  const std::time_t seconds = unix_ms / 1000;
  std::tm parts{};
  gmtime_r(&seconds, &parts);
  char text[40];
  const std::size_t size = std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &parts);
  return {text, size};
}

}  // namespace ribalta::ingest::tus
