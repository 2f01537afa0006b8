#include "ingest/door/refusals.h"

namespace ribalta::ingest {

bool Refusals::note(std::string_view client, std::string_view reason) {
  std::pair<std::string, std::string> line{reason, client};
  const std::scoped_lock lock{mutex_};
  const auto found = repeated_.find(line);
  if (found != repeated_.end()) {
    ++found->second;
    return false;
  }
  if (repeated_.size() == kRefusalLinesMax) {
    ++others_;
    return false;
  }
  repeated_.emplace(std::move(line), 0);
  return true;
}

std::vector<Refusals::Repeated> Refusals::end_period() {
  std::vector<Repeated> out;
  const std::scoped_lock lock{mutex_};
  for (auto& [line, count] : repeated_) {
    if (count > 0) out.push_back({line.first, line.second, count});
  }
  if (others_ > 0) out.push_back({.count = others_});
  repeated_.clear();
  others_ = 0;
  return out;
}

}  // namespace ribalta::ingest
