// A data set from anybody: it is refused, or what it says stays within its limits and its own ids.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "control-plane/feed/dataset.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ribalta::feed;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  for (const auto& read : {read_dataset, read_interactions, read_sequences}) {
    const auto dataset = read(text);
    if (!dataset) continue;
    if (dataset->events.size() > size) std::abort();
    for (const Interaction& event : dataset->events) {
      if (event.viewer >= dataset->viewers.size() || event.item >= dataset->items.size()) std::abort();
    }
    const auto pairs = read_pairs(text, *dataset);
    if (!pairs) continue;
    for (const Pair& pair : *pairs) {
      if (pair.viewer >= dataset->viewers.size() || pair.item >= dataset->items.size()) std::abort();
    }
  }
  return 0;
}
