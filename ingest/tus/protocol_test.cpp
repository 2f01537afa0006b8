#include "ingest/tus/protocol.h"

#include <doctest/doctest.h>

using namespace ribalta;
using namespace ribalta::ingest;

TEST_CASE("tus sizes: decimal numbers up to the limit, nothing else") {
  CHECK(tus::parse_size("0") == 0);
  CHECK(tus::parse_size("123") == 123);
  CHECK(tus::parse_size(std::to_string(tus::kUploadBytesMax)) == tus::kUploadBytesMax);
  CHECK(tus::parse_size(std::to_string(tus::kUploadBytesMax + 1)).error().code == Code::limit);
  CHECK(tus::parse_size("99999999999999999999999").error().code == Code::limit);
  for (const char* text : {"", "-1", "+1", " 1", "1 ", "1x", "0x1", "1.0", "-0"}) {
    CHECK(tus::parse_size(text).error().code == Code::malformed);
  }
}

TEST_CASE("tus metadata: pairs of key and base64, also without value") {
  const auto metadata = tus::Metadata::parse("filename d29ybGQubXA0, title w6kgdm9pbMOg,is_confidential");
  REQUIRE(metadata.has_value());
  CHECK(metadata->get("filename") == "world.mp4");
  CHECK(metadata->get("title") == "é voilà");
  CHECK(metadata->get("is_confidential").empty());
  CHECK(metadata->get("other").empty());
  CHECK(tus::Metadata::parse("").has_value());
}

TEST_CASE("tus metadata: bad base64, repeated keys, control characters and empty pairs are refused") {
  CHECK(tus::Metadata::parse("a !!!!").error().code == Code::malformed);
  CHECK(tus::Metadata::parse("a YQ==,a YQ==").error().code == Code::malformed);
  CHECK(tus::Metadata::parse("a YQo=").error().code == Code::malformed);
  CHECK(tus::Metadata::parse("a YQ==,,b YQ==").error().code == Code::malformed);
}

TEST_CASE("tus metadata: 4 KB and 32 pairs are taken, more is refused") {
  std::string pairs;
  for (int i = 0; i < 32; ++i) pairs += (i > 0 ? "," : "") + std::string{"k"} + std::to_string(i);
  CHECK(tus::Metadata::parse(pairs).has_value());
  CHECK(tus::Metadata::parse(pairs + ",one_more").error().code == Code::limit);
  std::string value;
  while (value.size() + 4 + 3 <= tus::kMetadataBytesMax) value += "YWFh";
  CHECK(tus::Metadata::parse("a " + value).has_value());
  CHECK(tus::Metadata::parse("a " + std::string(tus::kMetadataBytesMax, 'Y')).error().code == Code::limit);
}

TEST_CASE("tus checksums: sha1 and sha256 of the right length") {
  CHECK(tus::parse_checksum("sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").has_value());
  CHECK(tus::parse_checksum("sha256 Kq5sNclPz7QV2+lfQIuc6R7oRu0=").error().code == Code::malformed);
  CHECK(tus::parse_checksum("md5 Kq5sNclPz7QV2+lfQIuc6Q==").error().code == Code::unsupported);
  CHECK(tus::parse_checksum("sha1").error().code == Code::malformed);
  CHECK(tus::parse_checksum("").error().code == Code::unsupported);
}

TEST_CASE("tus checksums: the digest of fragments is that of the whole, as sha1sum and sha256sum have it") {
  tus::Hasher sha1{tus::ChecksumKind::sha1};
  for (const std::string_view part : {"hello", " ", "world"}) sha1.add(as_bytes(part));
  CHECK(to_hex(sha1.finish()) == "2aae6c35c94fcfb415dbe95f408b9ce91ee846ed");
  tus::Hasher sha256{tus::ChecksumKind::sha256};
  sha256.add(as_bytes("hello world"));
  CHECK(to_hex(sha256.finish()) == "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9");
}

TEST_CASE("tus dates are those of HTTP") { CHECK(tus::http_date(784'111'777'000) == "Sun, 06 Nov 1994 08:49:37 GMT"); }
