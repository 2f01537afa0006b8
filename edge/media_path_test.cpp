#include "edge/media_path.h"

#include <doctest/doctest.h>

#include <string>

#include "core/tokens.h"

namespace ribalta::edge {
namespace {

const std::string kId = "0123456789abcdef";
const std::string kLive = "/live/" + kId;
const std::string kVod = "/v/" + kId;

Code refusal(std::string_view target) {
  const Result<MediaTarget> read = parse_media_target(target);
  REQUIRE_MESSAGE(!read, "accepted: " << target);
  return read.error().code;
}

std::string query_of(std::string_view query) {
  const std::string target = kLive + "/v720.m3u8?" + std::string{query};
  const Result<MediaTarget> read = parse_media_target(target);
  REQUIRE(read.has_value());
  return read->query;
}

TEST_CASE("media path: every URL of the contract is read") {
  for (const std::string& path :
       {kLive + "/index.m3u8", kLive + "/index.mpd", kLive + "/src-v.m3u8", kLive + "/v720/init-3.mp4",
        kLive + "/v720/2-17.m4s", kVod + "/7/index.m3u8", kVod + "/7/index.mpd", kVod + "/7/a128.m3u8",
        kVod + "/7/a128/init.mp4", kVod + "/7/v720/12.m4s", kVod + "/7/poster.jpg"}) {
    const Result<MediaTarget> read = parse_media_target(path);
    REQUIRE_MESSAGE(read, path);
    CHECK(read->path == path);
    CHECK(read->id == kId);
    CHECK(read->token.empty());
    CHECK(read->query.empty());
    CHECK(read->kind == (path.starts_with("/live/") ? MediaKind::live : MediaKind::vod));
  }
}

TEST_CASE("media path: a token is taken off, and the rest is the same path") {
  const std::string target = "/t/v1.k1.abc.any.L3Yv.AAAA-_" + kVod + "/7/index.m3u8?x=1";
  const Result<MediaTarget> read = parse_media_target(target);
  REQUIRE(read.has_value());
  CHECK(read->token == "v1.k1.abc.any.L3Yv.AAAA-_");
  CHECK(read->path == kVod + "/7/index.m3u8");
}

TEST_CASE("media path: escapes, dots, empty segments and other doors are no media") {
  for (const std::string& path : {std::string{},
                                  std::string{"/"},
                                  std::string{"live/x"},
                                  kLive,
                                  kLive + "/",
                                  kVod,
                                  kVod + "/7",
                                  kVod + "/7/",
                                  kLive + "/.",
                                  kLive + "/..",
                                  kLive + "/../x",
                                  kLive + "//x",
                                  kLive + "/.hidden",
                                  kLive + "/a%2fb",
                                  kLive + "/%2e%2e/x",
                                  kLive + "/a b",
                                  kLive + "/a\\b",
                                  kLive + "/a;b",
                                  kLive + "/a\nb",
                                  kLive + std::string("/a\0b", 4),
                                  std::string{"/live/0123456789ABCDEF/index.m3u8"},
                                  std::string{"/live/short/index.m3u8"},
                                  "/tracks/" + kId + "/v720",
                                  "/t/" + kLive + "/index.m3u8",
                                  std::string{"/t/abc"},
                                  "/t//" + kLive + "/x",
                                  "/t/a%41" + kLive + "/x",
                                  "/t/a/t/b" + kLive + "/x",
                                  "/t/abc/tracks/" + kId + "/v720"}) {
    CHECK_MESSAGE(refusal(path) == Code::not_found, path);
  }
}

TEST_CASE("media path: segments, their count, the path and the token end at their limits") {
  const std::string segment(kSegmentCharsMax, 'a');
  CHECK(parse_media_target(kLive + "/" + segment));
  CHECK(refusal(kLive + "/" + segment + "a") == Code::not_found);
  CHECK(parse_media_target(kLive + "/a/b/c"));
  CHECK(refusal(kLive + "/a/b/c/d") == Code::not_found);
  CHECK(parse_media_target(kVod + "/7/a/b/c"));
  CHECK(refusal(kVod + "/7/a/b/c/d") == Code::not_found);

  const std::string token(kTokenCharsMax, 'a');
  CHECK(parse_media_target("/t/" + token + kLive + "/x"));
  CHECK(refusal("/t/" + token + "a" + kLive + "/x") == Code::limit);

  const std::string longest = kVod + "/" + segment + "/" + segment + "/" + segment + "/";
  const std::string fill(kPathCharsMax - longest.size(), 'a');
  CHECK(parse_media_target(longest + fill));
  CHECK(refusal(longest + fill + "a") == Code::limit);

  const std::string query(kQueryCharsMax, 'a');
  CHECK(parse_media_target(kLive + "/x?" + query));
  CHECK(refusal(kLive + "/x?" + query + "a") == Code::limit);
}

TEST_CASE("media path: cut anywhere, it is another media path or none") {
  const std::string whole = "/t/v1.k1" + kVod + "/7/v720/12.m4s?_HLS_msn=1";
  for (std::size_t bytes = 0; bytes <= whole.size(); ++bytes) {
    const std::string cut = whole.substr(0, bytes);
    const Result<MediaTarget> read = parse_media_target(cut);
    if (!read) continue;
    CHECK(cut.find(read->path) != std::string::npos);
    CHECK(read->id == kId);
  }
}

TEST_CASE("query: delivery directives come out in one spelling and order, and nothing else comes out") {
  CHECK(query_of("").empty());
  CHECK(query_of("CMCD=bl%3D1&session=7&").empty());
  CHECK(query_of("_HLS_msn=7") == "?_HLS_msn=7");
  CHECK(query_of("_HLS_skip=YES") == "?_HLS_skip=YES");
  CHECK(query_of("_HLS_part=2&a=b&_HLS_msn=007") == "?_HLS_msn=7&_HLS_part=2");
  CHECK(query_of("_HLS_skip=v2&_HLS_part=0&_HLS_msn=999999999999999") ==
        "?_HLS_msn=999999999999999&_HLS_part=0&_HLS_skip=v2");
}

TEST_CASE("query: directives that break their rules are refused") {
  for (const char* query :
       {"_HLS_msn=", "_HLS_msn", "_HLS_msn=-1", "_HLS_msn=1x", "_HLS_msn=1000000000000000", "_HLS_msn=1&_HLS_msn=1",
        "_HLS_part=1", "_HLS_msn=1&_HLS_part=", "_HLS_msn=1&_HLS_part=1&_HLS_part=1", "_HLS_skip=", "_HLS_skip=NO",
        "_HLS_skip=YES&_HLS_skip=YES"}) {
    CHECK_MESSAGE(refusal((kLive + "/v720.m3u8?").append(query)) == Code::malformed, query);
  }
}

TEST_CASE("query: only live playlists have directives, so that a query never makes a second copy of a segment") {
  for (const std::string& path : {kLive + "/v720/1-7.m4s", kLive + "/index.mpd", kVod + "/7/v720.m3u8"}) {
    const std::string target = path + "?_HLS_msn=1&_HLS_msn=2";
    const Result<MediaTarget> read = parse_media_target(target);
    REQUIRE(read.has_value());
    CHECK(read->query.empty());
  }
}

TEST_CASE("cache key: with and without token never mix, tokens don't count, purges and directives do") {
  const std::string plain = kLive + "/v720.m3u8?x=1&_HLS_msn=07";
  const std::string one = "/t/one" + plain;
  const std::string two = "/t/two" + plain;
  const std::string key = kLive + "/v720.m3u8?_HLS_msn=7";
  CHECK(cache_key(*parse_media_target(plain), false, 0) == "p|" + key);
  CHECK(cache_key(*parse_media_target(one), true, 0) == "t|" + key);
  CHECK(cache_key(*parse_media_target(one), true, 0) == cache_key(*parse_media_target(two), true, 0));
  CHECK(cache_key(*parse_media_target(plain), false, 1700) == "p|1700|" + key);
}

TEST_CASE("log: the token of a target is masked, whatever follows it") {
  CHECK(mask_token("/t/secret/v/x?y") == "/t/-/v/x?y");
  CHECK(mask_token("/t/secret?y") == "/t/-?y");
  CHECK(mask_token("/t/secret") == "/t/-");
  CHECK(mask_token("/t/") == "/t/-");
  CHECK(mask_token("/live/x") == "/live/x");
}

TEST_CASE("origin: sockets and addresses are taken in the form that nginx wants, names and rubbish are not") {
  CHECK(origin_authority("unix:/run/packager.sock").value() == "unix:/run/packager.sock:");
  CHECK(origin_authority("10.0.0.1:8080").value() == "10.0.0.1:8080");
  CHECK(origin_authority("[::1]:65535").value() == "[::1]:65535");
  CHECK(origin_authority("unix:/" + std::string(106, 'a')));
  CHECK(!origin_authority("unix:/" + std::string(107, 'a')));
  for (const std::string& text :
       {std::string{}, std::string{"unix:"}, std::string{"unix:relative"}, std::string{"unix:/a:b"},
        std::string{"unix:/a b"}, std::string{"unix:/a\nb"}, std::string{"packager:80"}, std::string{"10.0.0.1"},
        std::string{"10.0.0.1:0"}, std::string{"10.0.0.1:65536"}, std::string{"10.0.0.1:80x"},
        std::string{"10.0.0.1/evil:80"}, std::string{"::1:80"}, std::string{"[::1]80"}, std::string{"[]:80"},
        std::string("10.0.0.1\0:80", 12)}) {
    CHECK_MESSAGE(!origin_authority(text), text);
  }
}

}  // namespace
}  // namespace ribalta::edge
