// Any text as each of tus' fields: never a crash, and what is taken keeps within the limits that are named.
#include <algorithm>
#include <cstdlib>

#include "ingest/tus/protocol.h"

using namespace ribalta;
using namespace ribalta::ingest;

namespace {

void require(bool holds) {
  if (!holds) std::abort();
}

void sizes(std::string_view text) {
  const Result<std::int64_t> size = tus::parse_size(text);
  if (!size) return;
  require(*size >= 0 && *size <= tus::kUploadBytesMax);
  require(std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; }));
  require(tus::parse_size(std::to_string(*size)) == *size);
}

void metadata(std::string_view text) {
  const Result<tus::Metadata> read = tus::Metadata::parse(text);
  if (!read) return;
  require(text.size() <= tus::kMetadataBytesMax);
  for (const char* key : {"filename", "name", "title", "replaces"}) {
    const std::string_view value = read->get(key);
    require(value.size() <= tus::kMetadataBytesMax);
    require(std::ranges::none_of(value, [](char c) { return (c >= 0 && c < ' ') || c == '\x7F'; }));
  }
}

void checksums(std::string_view text) {
  const Result<tus::Checksum> read = tus::parse_checksum(text);
  if (read) require(read->digest.size() == (read->kind == tus::ChecksumKind::sha1 ? 20 : 32));
  // A piece is hashed as it comes, in whatever fragments.
  tus::Hasher whole{tus::ChecksumKind::sha1};
  whole.add(as_bytes(text));
  tus::Hasher pieces{tus::ChecksumKind::sha1};
  for (std::size_t step = 1; !text.empty(); step = step * 2 + 1) {
    const std::string_view piece = text.substr(0, step);
    pieces.add(as_bytes(piece));
    text.remove_prefix(piece.size());
  }
  require(whole.finish() == pieces.finish());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  sizes(text);
  metadata(text);
  checksums(text);
  return 0;
}
