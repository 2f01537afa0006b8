#include "core/json.h"

#include <doctest/doctest.h>

#include <boost/describe/class.hpp>
#include <boost/describe/enum.hpp>

using namespace ribalta;

namespace {

enum class Kind { live, vod };
BOOST_DESCRIBE_ENUM(Kind, live, vod)

struct Rung {
  std::string track;
  std::int64_t width = 0;
  std::optional<double> fps;
};
BOOST_DESCRIBE_STRUCT(Rung, (), (track, width, fps))

struct Plan {
  Kind kind = Kind::live;
  bool ready = false;
  std::int32_t count = 0;
  std::vector<Rung> rungs;
  std::map<std::string, std::int64_t> sizes;
  std::optional<Rung> best;
  boost::json::value more;
};
BOOST_DESCRIBE_STRUCT(Plan, (), (kind, ready, count, rungs, sizes, best, more))

struct Named {
  VideoId video = VideoId::random();
  std::vector<UserId> users;
};
BOOST_DESCRIBE_STRUCT(Named, (), (video, users))

std::string message(const Result<Rung>& result) { return result.error().message; }

}  // namespace

TEST_CASE("json: a number beyond what a double holds is refused, not read as infinity") {
  CHECK(json_read<double>("1e300").has_value());
  CHECK(json_read<double>("1e400").error().code == Code::malformed);
  CHECK_FALSE(json_read<double>("-1e400").has_value());
}

TEST_CASE("json: what is written is read again, an empty optional is left out") {
  Plan plan;
  plan.kind = Kind::vod;
  plan.ready = true;
  plan.count = -3;
  plan.rungs = {{"v720", 1280, 29.97}, {"v360", 640, std::nullopt}};
  plan.sizes = {{"a", 1}, {"b \"c\"", std::numeric_limits<std::int64_t>::max()}};
  plan.more = json_parse(R"({"any":[1,null]})").value();
  const std::string text = json_write(plan);
  CHECK(text ==
        R"({"kind":"vod","ready":true,"count":-3,"rungs":[{"track":"v720","width":1280,"fps":29.97},)"
        R"({"track":"v360","width":640}],"sizes":{"a":1,"b \"c\"":9223372036854775807},"more":{"any":[1,null]}})");
  const Plan again = json_read<Plan>(text).value();
  CHECK(json_write(again) == text);
}

TEST_CASE("json: complaints name the field") {
  CHECK(message(json_read<Rung>(R"({"track":"a"})")) == "$.width: missing");
  CHECK(message(json_read<Rung>(R"({"track":"a","width":1,"fps":"x"})")) == "$.fps: not a number");
  CHECK(message(json_read<Rung>(R"({"track":"a","width":1,"zz":1})")) == "$.zz: unknown");
  CHECK(message(json_read<Rung>(R"({"track":"a","width":1.5})")) == "$.width: not a whole number");
  CHECK(message(json_read<Rung>(R"({"track":7,"width":1})")) == "$.track: not a text");
  CHECK(message(json_read<Rung>("[]")) == "$: not an object");
  CHECK(json_read<Plan>(R"({"kind":"sold","ready":true,"count":1,"rungs":[],"sizes":{},"more":0})").error().message ==
        "$.kind: not one of live, vod");
  CHECK(json_read<Plan>(R"({"kind":"vod","ready":1,"count":1,"rungs":[],"sizes":{},"more":0})").error().message ==
        "$.ready: not true or false");
  CHECK(json_read<Plan>(
            R"({"kind":"vod","ready":true,"count":1,"rungs":[{"track":"a","width":1},{"track":"b","width":[]}],)"
            R"("sizes":{},"more":0})")
            .error()
            .message == "$.rungs[1].width: not a whole number");
}

TEST_CASE("json: numbers at the bound fit, one past is out of range") {
  const auto count = [](std::string_view number) {
    return json_read<Plan>(R"({"kind":"vod","ready":true,"count":)" + std::string{number} +
                           R"(,"rungs":[],"sizes":{},"more":0})");
  };
  CHECK(count("2147483647").value().count == 2147483647);
  CHECK(count("2147483648").error().message == "$.count: out of range");
  CHECK(count("-2147483649").error().message == "$.count: out of range");
  CHECK(json_read<Rung>(R"({"track":"","width":9223372036854775807})").value().width == 9223372036854775807);
  CHECK(message(json_read<Rung>(R"({"track":"","width":9223372036854775808})")) == "$.width: out of range");
  CHECK(json_read<Rung>(R"({"track":"","width":1,"fps":30})").value().fps == 30.0);
}

TEST_CASE("json: null stands for an absent optional and for nothing else") {
  CHECK_FALSE(json_read<Rung>(R"({"track":"","width":1,"fps":null})").value().fps.has_value());
  CHECK(message(json_read<Rung>(R"({"track":null,"width":1})")) == "$.track: not a text");
}

TEST_CASE("json: unknown fields pass where they are told to") {
  CHECK(json_read<Rung>(R"({"track":"a","width":1,"zz":1})", JsonUnknown::ignore).value().width == 1);
}

TEST_CASE("json: ids are checked") {
  Named named;
  named.users.push_back(UserId::random());
  const Named again = json_read<Named>(json_write(named)).value();
  CHECK(again.video == named.video);
  CHECK(again.users == named.users);
  CHECK(json_read<Named>(R"({"video":"../../etc/passwd","users":[]})").error().message == "$.video: not an id");
}

TEST_CASE("json: a cut text, rubbish after the end, bad UTF-8 and deep nesting are malformed") {
  const std::string good = R"({"track":"a\u00e9","width":1,"fps":2.5e1})";
  REQUIRE(json_read<Rung>(good).has_value());
  for (std::size_t cut = 0; cut < good.size(); ++cut) {
    CHECK(json_read<Rung>(good.substr(0, cut)).error().code == Code::malformed);
  }
  CHECK(json_parse(good + "x").error().code == Code::malformed);
  CHECK(json_parse("\"\xff\"").error().code == Code::malformed);
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  CHECK(json_parse(nested(kJsonDepthMax)).has_value());
  CHECK(json_parse(nested(kJsonDepthMax + 1)).error().code == Code::malformed);
}

TEST_CASE("json: numbers that JSON can't say are written as null") {
  std::string out;
  json_detail::write_number(out, std::numeric_limits<double>::quiet_NaN());
  CHECK(out == "null");
  CHECK(json_write(0.1) == "0.1");
  CHECK(json_write(30.0) == "30");
}
