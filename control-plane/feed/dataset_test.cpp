#include "control-plane/feed/dataset.h"

#include <doctest/doctest.h>

#include <string>

namespace ribalta::feed {
namespace {

constexpr std::string_view kHeader = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n";

std::string refusal(const Result<Dataset>& result) { return result ? "none" : result.error().message; }

}  // namespace

TEST_CASE("dataset: interactions, with ids in the order of numbers and times in seconds") {
  const Result<Dataset> dataset =
      read_dataset(std::string{kHeader} + "10\t7\t3\t881250949\r\n9\t11\t1\t1.5\n\n10\t11\t5\t2");
  REQUIRE(dataset);
  CHECK(dataset->viewers == std::vector<std::string>{"9", "10"});
  CHECK(dataset->items == std::vector<std::string>{"7", "11"});
  REQUIRE(dataset->events.size() == 3);
  CHECK(dataset->events[0].viewer == 1);
  CHECK(dataset->events[0].item == 0);
  CHECK(dataset->events[0].time_ms == 881'250'949'000);
  CHECK(dataset->events[0].weight == 1);
  CHECK(dataset->events[1].time_ms == 1'500);
}

TEST_CASE("dataset: columns come in any order, others are skipped, and without times lines are in order") {
  const Result<Dataset> dataset = read_interactions("x:float\titem_id:token\tuser_id:token\n.\ta\tb\n.\tc\tb\n");
  REQUIRE(dataset);
  CHECK(dataset->viewers == std::vector<std::string>{"b"});
  CHECK(dataset->items == std::vector<std::string>{"a", "c"});
  CHECK(dataset->events[1].time_ms == 1);
}

TEST_CASE("dataset: a sequence is a viewer and then items, oldest first") {
  const Result<Dataset> dataset = read_dataset("1 5 3 4\n2 3\n");
  REQUIRE(dataset);
  CHECK(dataset->items == std::vector<std::string>{"3", "4", "5"});
  REQUIRE(dataset->events.size() == 4);
  CHECK(dataset->events[0].item == 2);
  CHECK(dataset->events[2].time_ms == 2);
  CHECK(dataset->events[3].viewer == 1);
}

TEST_CASE("dataset: what is wrong is refused with its line") {
  const auto with = [](std::string_view line) { return std::string{kHeader} + "1\t1\t1\t1\n" + std::string{line}; };
  CHECK(refusal(read_interactions("")) == "line 1: no columns user_id and item_id, or too many");
  CHECK(refusal(read_interactions("user_id:token\n1\n")) == "line 1: no columns user_id and item_id, or too many");
  CHECK(refusal(read_interactions(with("1\t1\t1"))) == "line 3: another number of fields than columns");
  CHECK(refusal(read_interactions(with("1\t1\t1\t1\t1"))) == "line 3: another number of fields than columns");
  for (const std::string_view time : {"", "x", "1x", "nan", "inf", "1e300", "-1e13"}) {
    CHECK(refusal(read_interactions(with("1\t1\t1\t" + std::string{time}))) == "line 3: not a time in seconds");
  }
  CHECK(refusal(read_interactions(with("\t1\t1\t1"))) == "line 3: an id without letters");
  CHECK(refusal(read_sequences("1 2\n3\n")) == "line 2: a viewer without items");
  CHECK(refusal(read_sequences("1 2\n3 4  5\n")) == "line 2: an id without letters");
}

TEST_CASE("dataset: an id and a line at their bounds, and one past them") {
  const std::string id(kDatasetIdBytesMax, 'x');
  CHECK(read_sequences(id + " 1"));
  CHECK(read_sequences("1 " + id));
  CHECK(refusal(read_sequences(id + "x 1")) == "line 1: an id too long");
  CHECK(refusal(read_sequences("1 2\n1 " + id + "x")) == "line 2: an id too long");
  std::string line = "1";
  while (line.size() + 2 <= kDatasetLineBytesMax) line += " 2";
  line.resize(kDatasetLineBytesMax, '2');
  CHECK(read_sequences(line));
  CHECK(read_sequences(line + "2").error().code == Code::limit);
  std::string header = "user_id:token\titem_id:token";
  for (std::size_t i = 2; i < kDatasetColumnsMax; ++i) header += "\tx:float";
  CHECK(read_interactions(header + "\n"));
  CHECK_FALSE(read_interactions(header + "\tx:float\n"));
}

TEST_CASE("dataset: a file cut at every byte is read or refused") {
  const std::string text = std::string{kHeader} + "10\t7\t3\t881250949\n9\t11\t1\t1.5\n";
  for (std::size_t bytes = 0; bytes <= text.size(); ++bytes) {
    const Result<Dataset> dataset = read_dataset(std::string_view{text}.substr(0, bytes));
    if (dataset) CHECK(dataset->events.size() <= 2);
  }
}

TEST_CASE("dataset: pairs are sorted, each once, and of ids that exist") {
  const Dataset dataset = read_sequences("1 5 3 4\n2 3\n").value();
  const Result<std::vector<Pair>> pairs = read_pairs("2\t3\n1\t5\n\n2\t3\n", dataset);
  REQUIRE(pairs);
  CHECK(*pairs == std::vector<Pair>{{0, 2}, {1, 0}});
  CHECK(read_pairs("1\t5\n9\t5\n", dataset).error().message == "line 2: a viewer whom the data set does not have");
  CHECK(read_pairs("1\t6\n", dataset).error().message == "line 1: an item that the data set does not have");
  CHECK(read_pairs("1\n", dataset).error().code == Code::not_found);
}

}  // namespace ribalta::feed
