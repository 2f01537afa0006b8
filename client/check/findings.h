// What a check found: each finding names its rule, the place, and what stands there against what should. Bounded, so
// that a file that breaks one rule a million times is told once and counted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace ribalta::check {

/// Findings of one rule that are kept with their places; further ones only count.
inline constexpr std::size_t kFindingsPerRule = 10;
/// Rules are few (docs/check.md lists them); the bound holds whatever is added.
inline constexpr std::size_t kRulesMax = 200;

struct Finding {
  std::string rule;   ///< `extinf-over-target`: a name that scripts and tests can rely on
  std::string where;  ///< the playlist, manifest or segment
  std::string what;   ///< a sentence with the numbers
  bool operator==(const Finding&) const = default;
};

class Findings {
 public:
  /// What was found before, word for word, is not counted again: a live is looked at many times.
  void add(std::string_view rule, std::string_view where, std::string what);
  [[nodiscard]] const std::vector<Finding>& list() const { return list_; }
  [[nodiscard]] bool empty() const { return list_.empty(); }
  [[nodiscard]] bool has(std::string_view rule) const { return counts_.contains(std::string{rule}); }
  /// How often each rule was broken, also beyond what is kept.
  [[nodiscard]] const std::map<std::string, std::uint64_t>& counts() const { return counts_; }

 private:
  std::vector<Finding> list_;
  std::map<std::string, std::uint64_t> counts_;
};

}  // namespace ribalta::check
