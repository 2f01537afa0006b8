#include "edge/node_list.h"

#include <algorithm>

namespace ribalta::edge {
namespace {

bool is_hex(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_node_name(std::string_view text) {
  return !text.empty() && text.size() <= kNodeNameCharsMax &&
         std::ranges::all_of(text, [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; });
}

}  // namespace

Result<std::vector<ListedNode>> parse_node_list(std::string_view text) {
  if (text.size() > kNodeListBytesMax) return fail(Code::limit, "node list: bytes", text.size());
  std::vector<ListedNode> nodes;
  for (std::size_t number = 1; !text.empty(); ++number) {
    const std::size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    const std::size_t blank = line.find(' ');
    const std::string_view certificate = line.substr(0, blank);
    const std::string_view name = blank == std::string_view::npos ? std::string_view{} : line.substr(blank + 1);
    if (certificate.size() != kCertificateHexChars || !is_hex(certificate) || !is_node_name(name)) {
      return fail(Code::malformed, "node list: certificate and name wanted in line", number);
    }
    nodes.push_back({std::string{certificate}, std::string{name}});
  }
  if (nodes.size() > kNodesMax) return fail(Code::limit, "node list: nodes", nodes.size());
  return nodes;
}

std::optional<std::string_view> find_node(const std::vector<ListedNode>& nodes, std::string_view certificate) {
  const auto node = std::ranges::find(nodes, certificate, &ListedNode::certificate);
  if (certificate.empty() || node == nodes.end()) return std::nullopt;
  return node->name;
}

}  // namespace ribalta::edge
