#include "core/http/http.h"

#include <doctest/doctest.h>

using namespace ribalta;
using namespace ribalta::http;

TEST_CASE("fields: names compare without case, repeats and order are kept") {
  Fields fields{{"Set-Cookie", "a=1"}, {"X", "1"}};
  fields.add("set-cookie", "b=2");
  CHECK(fields.get("SET-COOKIE") == "a=1");
  CHECK(std::distance(fields.begin(), fields.end()) == 3);
  fields.set("Set-Cookie", "c=3");
  CHECK(std::distance(fields.begin(), fields.end()) == 2);
  CHECK(fields.get("set-cookie") == "c=3");
  CHECK_FALSE(fields.has("Y"));
  CHECK(fields.get("Y").empty());
}

TEST_CASE("percent_decode undoes percent_encode for every byte") {
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  CHECK(percent_decode(percent_encode(all)).value() == all);
}

TEST_CASE("percent_decode refuses an escape that is cut or has no digits") {
  for (const char* text : {"%", "%4", "a%", "%zz", "%4g", "%-1"})
    CHECK(percent_decode(text).error().code == Code::malformed);
}

TEST_CASE("split_target decodes the path once and leaves the query as sent") {
  const SplitTarget target = split_target("/a%20b/c%2525?x=%41&y").value();
  CHECK(target.path == "/a b/c%25");
  CHECK(target.query == "x=%41&y");
  CHECK(split_target("/").value().path == "/");
  CHECK(split_target("/?").value().query.empty());
}

TEST_CASE("split_target refuses what could leave its folder, however it is spelt") {
  for (const char* text : {"/..", "/../x", "/a/../b", "/a/..", "/%2e%2e/x", "/a%2f..%2fb", "/.", "/a/./b", "//x",
                           "/a//b", "/a%2f/b", "/a%00b", "/%", "a", "", "http://x/", "*"}) {
    CAPTURE(text);
    CHECK(split_target(text).error().code == Code::malformed);
  }
  CHECK(split_target("/a..b/...").value().path == "/a..b/...");
}

TEST_CASE("query_value finds the first of a name and decodes it") {
  RequestHead head;
  head.query = "a=1&b=x%26y+z&a=2&flag&=e&bad=%zz";
  CHECK(head.query_value("a") == "1");
  CHECK(head.query_value("b") == "x&y z");
  CHECK(head.query_value("flag").empty());
  CHECK(head.query_value("bad").empty());
  CHECK(head.query_value("c").empty());
}

TEST_CASE("cookie finds a name among others, and not a name that ends alike") {
  RequestHead head;
  head.fields.add("Cookie", "xsession=1; session=abc=d; other=2");
  head.fields.add("cookie", "late=3");
  CHECK(head.cookie("session") == "abc=d");
  CHECK(head.cookie("late") == "3");
  CHECK(head.cookie("sess").empty());
}

TEST_CASE("an error body is JSON whatever stands in the sentence") {
  const Response response = Response::error(400, "malformed", "a \"quote\"\nand a line");
  CHECK(response.body == R"({"error":{"code":"malformed","message":"a \"quote\"\nand a line"}})");
  CHECK(Response::of(Error{Code::no_space, "full"}).status == 507);
  CHECK(Response::of(Error{Code::conflict, "taken"}).status == 409);
}

TEST_CASE("addresses: socket paths, hosts with ports, IPv6 in brackets") {
  CHECK(Address::parse("unix:/run/a.sock").value().unix_path == "/run/a.sock");
  CHECK(Address::parse("127.0.0.1:80").value().port == 80);
  CHECK(Address::parse("[::1]:8080").value().host == "::1");
  CHECK(Address::parse("[::1]:8080").value().text() == "[::1]:8080");
  CHECK(Address::parse("unix:/run/a.sock").value().text() == "unix:/run/a.sock");
  for (const char* text : {"", "unix:", "host", "host:", ":80", "host:65536", "host:-1", "host:8x"}) {
    CAPTURE(text);
    CHECK(Address::parse(text).error().code == Code::malformed);
  }
}

TEST_CASE("addresses: a socket path of 107 bytes fits, one of 108 is refused") {
  CHECK(Address::parse("unix:/" + std::string(106, 'a')).has_value());
  CHECK(Address::parse("unix:/" + std::string(107, 'a')).error().code == Code::limit);
}
