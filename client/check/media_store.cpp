#include "client/check/media_store.h"

#include "client/check/source.h"

namespace ribalta::check {

const InitFacts* MediaStore::init(const std::string& location, std::optional<ByteRange> range) {
  const auto [entry, fresh] = inits_.try_emplace({location, range ? range->offset : 0});
  if (fresh) {
    const auto bytes = fetch(location, range);
    if (bytes) {
      bytes_ += bytes->size();
      entry->second = check_init(*bytes, location, findings_);
    } else {
      findings_.add("init-missing", location, bytes.error().message);
    }
  }
  return entry->second ? &*entry->second : nullptr;
}

const SegmentFacts* MediaStore::segment(const std::string& location, std::optional<ByteRange> range,
                                        const InitFacts& init, const SegmentFacts* before) {
  const auto [entry, fresh] = segments_.try_emplace({location, range ? range->offset : 0});
  if (fresh) {
    const auto bytes = fetch(location, range);
    if (bytes) {
      bytes_ += bytes->size();
      entry->second = check_segment(*bytes, init, before, location, findings_);
    } else {
      findings_.add("segment-missing", location, bytes.error().message);
    }
  }
  return entry->second ? &*entry->second : nullptr;
}

}  // namespace ribalta::check
