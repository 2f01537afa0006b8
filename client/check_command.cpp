#include <boost/describe/class.hpp>
#include <cstdio>

#include "client/check/check.h"
#include "client/commands.h"
#include "core/json.h"

namespace ribalta::client {
namespace {

struct FindingOut {
  std::string rule;
  std::string where;
  std::string what;
};
BOOST_DESCRIBE_STRUCT(FindingOut, (), (rule, where, what))
struct CheckOut {
  std::string location;
  std::int64_t playlists = 0;
  std::int64_t segments = 0;
  std::int64_t bytes = 0;
  std::vector<FindingOut> findings;
  std::map<std::string, std::int64_t> counts;
};
BOOST_DESCRIBE_STRUCT(CheckOut, (), (location, playlists, segments, bytes, findings, counts))

/// Names come out of strangers' playlists: nothing of them moves the cursor.
std::string plain(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ' || c == 0x7F) c = '?';
  }
  return text;
}

void print(const check::Checked& checked) {
  for (const check::Finding& finding : checked.findings.list()) {
    std::printf("%s\n  %s\n  %s\n", finding.rule.c_str(), plain(finding.where).c_str(), plain(finding.what).c_str());
  }
  for (const auto& [rule, count] : checked.findings.counts()) {
    if (count > check::kFindingsPerRule) {
      std::printf("%s: %llu times in all\n", rule.c_str(), static_cast<unsigned long long>(count));
    }
  }
  std::printf("%zu playlists, %zu segments, %.1f MB: %s\n", checked.playlists, checked.segments,
              static_cast<double>(checked.bytes) / 1e6,
              checked.findings.empty() ? "in order"
                                       : (std::to_string(checked.findings.counts().size()) + " rules broken").c_str());
}

}  // namespace

int check_media(const CheckFlags& flags) {
  const auto checked = check::check_location(flags.location, std::chrono::seconds{flags.follow_s});
  if (!checked) {
    std::fprintf(stderr, "%s\n", plain(checked.error().message).c_str());
    return 1;
  }
  if (flags.json) {
    CheckOut out{.location = flags.location,
                 .playlists = static_cast<std::int64_t>(checked->playlists),
                 .segments = static_cast<std::int64_t>(checked->segments),
                 .bytes = static_cast<std::int64_t>(checked->bytes)};
    for (const check::Finding& finding : checked->findings.list())
      out.findings.push_back({finding.rule, finding.where, finding.what});
    for (const auto& [rule, count] : checked->findings.counts()) out.counts[rule] = static_cast<std::int64_t>(count);
    std::printf("%s\n", json_write(out).c_str());
  } else {
    print(*checked);
  }
  return checked->findings.empty() ? 0 : 1;
}

}  // namespace ribalta::client
