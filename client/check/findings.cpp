#include "client/check/findings.h"

#include <algorithm>

namespace ribalta::check {

void Findings::add(std::string_view rule, std::string_view where, std::string what) {
  const Finding finding{std::string{rule}, std::string{where}, std::move(what)};
  if (std::ranges::find(list_, finding) != list_.end()) return;
  const auto known = counts_.find(std::string{rule});
  if (known == counts_.end() && counts_.size() >= kRulesMax) return;
  std::uint64_t& count = counts_[std::string{rule}];
  if (++count <= kFindingsPerRule) list_.push_back(finding);
}

}  // namespace ribalta::check
