// The other nodes that may use this one's node port (docs/running.md, "A second node"): the file that the control plane
// writes whenever one joins or is removed, a line each: SHA-256 of the node's certificate in hex, blank, its name.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"

namespace ribalta::edge {

inline constexpr std::size_t kNodesMax = 256;
inline constexpr std::size_t kNodeNameCharsMax = 32;
inline constexpr std::size_t kCertificateHexChars = 64;
inline constexpr std::size_t kNodeListBytesMax = kNodesMax * (kCertificateHexChars + kNodeNameCharsMax + 2);

struct ListedNode {
  std::string certificate;  ///< SHA-256 of its DER form, in lower-case hex
  std::string name;         ///< 1..32 of a-z 0-9 '-'
};

/// @error malformed: a line of another form; limit: too long. Then nobody is listed: who is meant can't be told.
Result<std::vector<ListedNode>> parse_node_list(std::string_view text);
/// @return the node's name, or nothing: a stranger.
std::optional<std::string_view> find_node(const std::vector<ListedNode>& nodes, std::string_view certificate);

}  // namespace ribalta::edge
