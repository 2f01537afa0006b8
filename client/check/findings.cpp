#include "client/check/findings.h"

namespace ribalta::check {

void Findings::add(std::string_view rule, std::string_view where, std::string what) {
  const auto known = counts_.find(std::string{rule});
  if (known == counts_.end() && counts_.size() >= kRulesMax) return;
  std::uint64_t& count = counts_[std::string{rule}];
  if (++count <= kFindingsPerRule) list_.push_back({std::string{rule}, std::string{where}, std::move(what)});
}

}  // namespace ribalta::check
