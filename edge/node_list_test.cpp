#include "edge/node_list.h"

#include <doctest/doctest.h>

namespace ribalta::edge {
namespace {

const std::string kOne(64, 'a');
const std::string kOther(64, '0');

TEST_CASE("node list: a line for each, and strangers are nobody") {
  const auto nodes = parse_node_list(kOne + " milan\n" + kOther + " rome-2\n");
  REQUIRE(nodes.has_value());
  REQUIRE(nodes->size() == 2);
  CHECK(find_node(*nodes, kOne) == "milan");
  CHECK(find_node(*nodes, kOther) == "rome-2");
  CHECK_FALSE(find_node(*nodes, std::string(64, 'b')));
  CHECK_FALSE(find_node(*nodes, kOne.substr(1)));
  CHECK_FALSE(find_node(*nodes, ""));
  CHECK(parse_node_list("")->empty());
}

TEST_CASE("node list: one line that is none, and nobody is listed") {
  for (const std::string& line : {std::string{"x"}, kOne, kOne + " ", kOne + " Milan", kOne + " a b",
                                  std::string{" milan"}, kOne.substr(1) + " milan", kOne + "a milan",
                                  std::string(64, 'A') + " milan", kOne + " " + std::string(33, 'a'), std::string{}}) {
    const auto nodes = parse_node_list(kOther + " rome\n" + line + "\n");
    REQUIRE_MESSAGE(!nodes, line);
    CHECK(nodes.error().code == Code::malformed);
  }
}

TEST_CASE("node list: as many as fit, and not one more") {
  std::string text;
  for (std::size_t i = 0; i < kNodesMax; ++i) text += kOne + " n" + std::to_string(i) + "\n";
  CHECK(parse_node_list(text)->size() == kNodesMax);
  CHECK(parse_node_list(text + kOne + " more\n").error().code == Code::limit);
  CHECK(parse_node_list(std::string(kNodeListBytesMax + 1, 'a')).error().code == Code::limit);
}

}  // namespace
}  // namespace ribalta::edge
