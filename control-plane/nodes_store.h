// The other nodes of this instance in SQL: who was invited, and whose certificate belongs to whom.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/result.h"
#include "core/sql/sql.h"

namespace ribalta::control {

struct OtherNode {
  std::string name;
  std::string secret_hash;   ///< of the join line's secret; empty once it was used
  std::string certificate;   ///< SHA-256 in hex; empty until it has joined
  std::int64_t invited = 0;  ///< when the join line was made
  std::int64_t joined = 0;   ///< 0: not yet

  [[nodiscard]] bool has_joined() const { return !certificate.empty(); }
};

class NodesStore {
 public:
  explicit NodesStore(sql::Session& session) : sql_(session) {}

  Result<std::optional<OtherNode>> by_name(std::string_view name);
  /// By name.
  Result<std::vector<OtherNode>> all();
  Result<void> insert(const OtherNode& node);
  Result<void> set_joined(std::string_view name, std::string_view certificate, std::int64_t now);
  Result<void> remove(std::string_view name);

 private:
  sql::Session& sql_;
};

}  // namespace ribalta::control
