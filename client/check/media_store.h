// The media that playlists and manifests name, each fetched and looked into once however often it is named.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "client/check/findings.h"
#include "client/check/hls.h"
#include "client/check/media_check.h"

namespace ribalta::check {

class MediaStore {
 public:
  explicit MediaStore(Findings& findings) : findings_(findings) {}

  /// Nothing where it can't be had or used; why is a finding, once.
  const InitFacts* init(const std::string& location, std::optional<ByteRange> range);
  /// `before`: what it must follow, where it is looked into for the first time.
  const SegmentFacts* segment(const std::string& location, std::optional<ByteRange> range, const InitFacts& init,
                              const SegmentFacts* before);

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }
  [[nodiscard]] std::size_t segments() const { return segments_.size(); }

 private:
  using Key = std::pair<std::string, std::uint64_t>;  ///< location, offset
  Findings& findings_;
  std::map<Key, std::optional<InitFacts>> inits_;
  std::map<Key, std::optional<SegmentFacts>> segments_;
  std::uint64_t bytes_ = 0;
};

}  // namespace ribalta::check
