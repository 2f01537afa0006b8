// A request target as a stranger sends it, through path, token, key and log mask; and the same bytes as what Redis, the
// key file and the list of nodes hold.
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "core/tokens.h"
#include "edge/answers.h"
#include "edge/media_path.h"
#include "edge/node_list.h"
#include "edge/token_keys.h"

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

bool is_plain(std::string_view path) {
  return path.find("..") == std::string_view::npos || path.find("/..") == std::string_view::npos;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ribalta;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  static const std::vector<TokenKey> keys{{.id = "k1", .secret = std::string(32, 'k')}};

  const auto target = edge::parse_media_target(text);
  if (target) {
    require(target->path.size() <= edge::kPathCharsMax && is_plain(target->path));
    require(target->path.find_first_of("%?# \r\n\\") == std::string_view::npos);
    // What goes to the origin reads as the same request, without a token, and names the same entry.
    const std::string upstream = std::string{target->path} + target->query;
    const auto again = edge::parse_media_target(upstream);
    require(again.has_value() && again->token.empty() && again->query == target->query && again->id == target->id);
    require(edge::cache_key(*again, false, 0) == edge::cache_key(*target, false, 0));
    const auto claims = verify_token(keys, target->token, 1'000'000'000);
    if (claims && token_allows(*claims, target->path)) require(target->path.starts_with(claims->path_prefix));
    if (!target->token.empty()) require(edge::mask_token(text).starts_with("/t/-/"));
  }

  if (const auto origin = edge::origin_authority(text)) require(origin->find_first_of(" \r\n") == std::string::npos);
  if (const auto tag = edge::parse_tag(text)) require(tag->id.size() == 16);
  if (const auto parsed = edge::parse_token_keys(text)) {
    for (const TokenKey& key : *parsed) require(key.secret.size() == 32 && !key.id.empty());
  }
  if (const auto nodes = edge::parse_node_list(text)) {
    for (const edge::ListedNode& node : *nodes) require(edge::find_node(*nodes, node.certificate).has_value());
  }
  return 0;
}
