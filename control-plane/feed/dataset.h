// Files that recommenders are compared on: a stranger's bytes. Two formats: RecBole's `.inter` (tab separated, the
// first line names the columns) and sequences (a line is a viewer and then items, oldest first); and pairs that are
// held out.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/feed/source.h"
#include "core/result.h"

namespace ribalta::feed {

inline constexpr std::size_t kDatasetLineBytesMax = 1U << 20U;  ///< a sequence of 100 000 items
inline constexpr std::size_t kDatasetIdBytesMax = 64;
inline constexpr std::size_t kDatasetViewersMax = 1'000'000;
inline constexpr std::size_t kDatasetItemsMax = 1'000'000;
inline constexpr std::size_t kDatasetEventsMax = 20'000'000;
inline constexpr std::size_t kDatasetColumnsMax = 64;

/// Indices follow the order of ids, shorter ones first: for numbers, their order.
struct Dataset {
  std::vector<Interaction> events;   ///< as in the file; each of weight 1, whatever it was rated
  std::vector<std::string> viewers;  ///< ids by index
  std::vector<std::string> items;
};

/// Columns `user_id`, `item_id`, and `timestamp` (seconds) where there is one; the rest is skipped. Without times,
/// lines are in order.
/// @error malformed, limit: with the line's number.
Result<Dataset> read_interactions(std::string_view text);

/// An event's time is its place in its line.
/// @error malformed, limit: with the line's number.
Result<Dataset> read_sequences(std::string_view text);

/// Whichever of both it is: the first line of a `.inter` has a column `user_id:token`.
Result<Dataset> read_dataset(std::string_view text);

struct Pair {
  ViewerIndex viewer = 0;
  ItemIndex item = 0;
  auto operator<=>(const Pair&) const = default;
};
/// Lines of a viewer's and an item's id, with a tab between.
/// @return sorted, each once.
/// @error malformed, limit; not_found: an id that the data set does not have. With the line's number.
Result<std::vector<Pair>> read_pairs(std::string_view text, const Dataset& dataset);

}  // namespace ribalta::feed
