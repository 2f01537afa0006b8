#include "core/log.h"

#include <doctest/doctest.h>

#include "core/json.h"
#include "core/metrics.h"

using namespace ribalta;

namespace {
const WallTime kTime = from_unix_ms(1'795'469'283'123);
}

TEST_CASE("log: a sentence, then fields, quoted only where they must be") {
  const LogOptions options{.role = "ingest"};
  CHECK(
      log_line(options, kTime, LogLevel::info, "publish accepted",
               {{"stream", "abc"}, {"epoch", 3}, {"ok", true}, {"why", "two words"}, {"empty", ""}}) ==
      "2026-11-23T21:28:03.123Z info ingest: publish accepted stream=abc epoch=3 ok=true why=\"two words\" empty=\"\"");
}

TEST_CASE("log: a stranger's text can't begin a line of its own, nor forge a field") {
  const LogOptions options{.role = "ingest"};
  const std::string line = log_line(options, kTime, LogLevel::warning, "refused\nx", {{"name", "a\nb=c \"d\""}});
  CHECK(line == "2026-11-23T21:28:03.123Z warning ingest: refused x name=\"a\\nb=c \\\"d\\\"\"");
}

TEST_CASE("log: JSON lines are JSON, with numbers and flags as such") {
  const LogOptions options{.role = "ingest", .json = true};
  const Error error{Code::io, "disk \"a\""};
  const std::string line =
      log_line(options, kTime, LogLevel::error, "it's\nbad", {{"count", 3}, {"on", false}, {"why", error}});
  CHECK(line == R"({"time":"2026-11-23T21:28:03.123Z","level":"error","role":"ingest","event":"it's\nbad",)"
                R"("count":3,"on":false,"why":"io: disk \"a\""})");
  CHECK(json_parse(line).has_value());
}

TEST_CASE("log: a long value is cut, so that one request can't fill the disk") {
  const std::string line = log_line({}, kTime, LogLevel::info, "x", {{"name", std::string(100'000, 'a')}});
  CHECK(line.size() < 3'000);
}

TEST_CASE("metrics: the same name and labels are the same metric, and the text form tells them") {
  Metrics metrics;
  Counter& counter = metrics.counter("ribalta_test_things_total", "Things", {{"kind", "a"}});
  counter.add();
  metrics.counter("ribalta_test_things_total", "Things", {{"kind", "a"}}).add(2);
  metrics.counter("ribalta_test_things_total", "Things", {{"kind", "b"}}).add();
  CHECK(&counter == &metrics.counter("ribalta_test_things_total", "Things", {{"kind", "a"}}));
  metrics.gauge("ribalta_test_level", "Level").set(1.5);
  metrics.histogram("ribalta_test_seconds", "Seconds", {0.1, 1}).observe(0.5);
  const std::string text = metrics.text();
  CHECK(text.find("# TYPE ribalta_test_things_total counter") != std::string::npos);
  CHECK(text.find("ribalta_test_things_total{kind=\"a\"} 3") != std::string::npos);
  CHECK(text.find("ribalta_test_things_total{kind=\"b\"} 1") != std::string::npos);
  CHECK(text.find("ribalta_test_level 1.5") != std::string::npos);
  CHECK(text.find("ribalta_test_seconds_bucket{le=\"1\"} 1") != std::string::npos);
}
