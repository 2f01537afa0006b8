#include "control-plane/feed/dataset.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <numeric>
#include <optional>
#include <span>
#include <unordered_map>
#include <utility>

namespace ribalta::feed {
namespace {

/// Year 33658: a time in seconds beyond it, either way, is a mistake.
constexpr double kTimeSecondsMax = 1e12;

/// Goes through lines, with their numbers from 1; the bytes of a carriage return at a line's end are not part of it.
class Lines {
 public:
  explicit Lines(std::string_view text) : text_(text) {}

  [[nodiscard]] bool more() const { return !text_.empty(); }
  /// @error limit: longer than kDatasetLineBytesMax.
  Result<std::string_view> next() {
    ++number_;
    std::string_view line = text_.substr(0, text_.find('\n'));
    text_.remove_prefix(std::min(text_.size(), line.size() + 1));
    if (line.size() > kDatasetLineBytesMax) return wrong(Code::limit, "more bytes than a line may have");
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
  }
  [[nodiscard]] std::unexpected<Error> wrong(Code code, std::string_view what) const {
    return fail(code, "line " + std::to_string(number_) + ": " + std::string{what});
  }

 private:
  std::string_view text_;
  std::size_t number_ = 0;
};

/// What stands before the separator; takes both away.
std::string_view take_field(std::string_view& line, char separator) {
  const std::string_view field = line.substr(0, line.find(separator));
  line.remove_prefix(std::min(line.size(), field.size() + 1));
  return field;
}

/// Ids in the order in which they come, until all are known.
class Names {
 public:
  explicit Names(std::size_t limit) : limit_(limit) {}

  /// @return nothing when there would be too many.
  std::optional<std::uint32_t> index(std::string_view id) {
    const auto [place, fresh] = indices_.try_emplace(id, static_cast<std::uint32_t>(indices_.size()));
    if (fresh && indices_.size() > limit_) return std::nullopt;
    return place->second;
  }

  /// Ids by their final index; `renamed` gets the final index of each as they came.
  std::vector<std::string> sorted(std::vector<std::uint32_t>& renamed) const {
    std::vector<std::pair<std::string_view, std::uint32_t>> all{indices_.begin(), indices_.end()};
    std::ranges::sort(all, {}, [](const auto& one) { return std::pair{one.first.size(), one.first}; });
    std::vector<std::string> ids;
    renamed.resize(all.size());
    for (const auto& [id, came] : all) {
      renamed[came] = static_cast<std::uint32_t>(ids.size());
      ids.emplace_back(id);
    }
    return ids;
  }

 private:
  std::size_t limit_;
  std::unordered_map<std::string_view, std::uint32_t> indices_;  // views of the text, which outlives this
};

/// Puts events together until their indices are final.
class Builder {
 public:
  /// @error what is wrong, without the line.
  std::optional<std::pair<Code, std::string_view>> add(std::string_view viewer, std::string_view item,
                                                       std::int64_t time_ms) {
    if (viewer.empty() || item.empty()) return std::pair{Code::malformed, "an id without letters"};
    if (std::max(viewer.size(), item.size()) > kDatasetIdBytesMax) return std::pair{Code::limit, "an id too long"};
    if (dataset_.events.size() == kDatasetEventsMax) return std::pair{Code::limit, "too many events"};
    const std::optional<std::uint32_t> viewer_index = viewers_.index(viewer);
    if (!viewer_index) return std::pair{Code::limit, "too many viewers"};
    const std::optional<std::uint32_t> item_index = items_.index(item);
    if (!item_index) return std::pair{Code::limit, "too many items"};
    dataset_.events.push_back({*viewer_index, *item_index, 1, time_ms});
    return std::nullopt;
  }

  Dataset finish() {
    std::vector<std::uint32_t> viewer_names;
    std::vector<std::uint32_t> item_names;
    dataset_.viewers = viewers_.sorted(viewer_names);
    dataset_.items = items_.sorted(item_names);
    for (Interaction& event : dataset_.events) {
      event.viewer = viewer_names[event.viewer];
      event.item = item_names[event.item];
    }
    return std::move(dataset_);
  }

 private:
  Names viewers_{kDatasetViewersMax};
  Names items_{kDatasetItemsMax};
  Dataset dataset_;
};

struct Columns {
  std::size_t viewer = 0;
  std::size_t item = 0;
  std::optional<std::size_t> time;
  std::size_t count = 0;
};

/// @return nothing when a column is missing, or there are too many.
std::optional<Columns> columns_of(std::string_view header) {
  Columns columns;
  std::optional<std::size_t> viewer;
  std::optional<std::size_t> item;
  while (!header.empty() && columns.count < kDatasetColumnsMax) {
    std::string_view column = take_field(header, '\t');
    const std::string_view name = take_field(column, ':');
    if (name == "user_id") viewer = columns.count;
    if (name == "item_id") item = columns.count;
    if (name == "timestamp") columns.time = columns.count;
    ++columns.count;
  }
  if (!viewer || !item || !header.empty()) return std::nullopt;
  columns.viewer = *viewer;
  columns.item = *item;
  return columns;
}

std::optional<std::int64_t> time_of(std::string_view text) {
  double seconds = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), seconds);
  if (problem != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  if (!(std::abs(seconds) <= kTimeSecondsMax)) return std::nullopt;
  return static_cast<std::int64_t>(std::llround(seconds * 1000));
}

std::optional<std::uint32_t> find_id(const std::vector<std::string>& ids, std::string_view id) {
  const auto key = [](std::string_view one) { return std::pair{one.size(), one}; };
  const auto place = std::ranges::lower_bound(ids, key(id), {}, key);
  if (place == ids.end() || *place != id) return std::nullopt;
  return static_cast<std::uint32_t>(place - ids.begin());
}

}  // namespace

Result<Dataset> read_interactions(std::string_view text) {
  Lines lines{text};
  const Result<std::string_view> header = lines.next();
  if (!header) return pass(header);
  const std::optional<Columns> columns = columns_of(*header);
  if (!columns) return lines.wrong(Code::malformed, "no columns user_id and item_id, or too many");
  Builder builder;
  std::int64_t order = 0;
  std::vector<std::string_view> fields;
  while (lines.more()) {
    const Result<std::string_view> next = lines.next();
    if (!next) return pass(next);
    std::string_view line = *next;
    if (line.empty()) continue;
    fields.clear();
    const auto separators = static_cast<std::size_t>(std::ranges::count(line, '\t'));
    if (separators + 1 != columns->count) return lines.wrong(Code::malformed, "another number of fields than columns");
    while (fields.size() < columns->count) fields.push_back(take_field(line, '\t'));
    const std::optional<std::int64_t> time_ms = columns->time ? time_of(fields[*columns->time]) : order++;
    if (!time_ms) return lines.wrong(Code::malformed, "not a time in seconds");
    if (const auto problem = builder.add(fields[columns->viewer], fields[columns->item], *time_ms)) {
      return lines.wrong(problem->first, problem->second);
    }
  }
  return builder.finish();
}

Result<Dataset> read_sequences(std::string_view text) {
  Lines lines{text};
  Builder builder;
  while (lines.more()) {
    const Result<std::string_view> next = lines.next();
    if (!next) return pass(next);
    std::string_view line = *next;
    if (line.empty()) continue;
    const std::string_view viewer = take_field(line, ' ');
    if (line.empty()) return lines.wrong(Code::malformed, "a viewer without items");
    for (std::int64_t order = 0; !line.empty(); ++order) {
      if (const auto problem = builder.add(viewer, take_field(line, ' '), order)) {
        return lines.wrong(problem->first, problem->second);
      }
    }
  }
  return builder.finish();
}

Result<Dataset> read_dataset(std::string_view text) {
  const std::string_view first = text.substr(0, text.find('\n'));
  return first.find("user_id:token") != std::string_view::npos ? read_interactions(text) : read_sequences(text);
}

Result<std::vector<Pair>> read_pairs(std::string_view text, const Dataset& dataset) {
  Lines lines{text};
  std::vector<Pair> pairs;
  while (lines.more()) {
    const Result<std::string_view> next = lines.next();
    if (!next) return pass(next);
    std::string_view line = *next;
    if (line.empty()) continue;
    const std::string_view viewer = take_field(line, '\t');
    if (pairs.size() == kDatasetEventsMax) return lines.wrong(Code::limit, "too many pairs");
    const std::optional<std::uint32_t> viewer_index = find_id(dataset.viewers, viewer);
    if (!viewer_index) return lines.wrong(Code::not_found, "a viewer whom the data set does not have");
    const std::optional<std::uint32_t> item_index = find_id(dataset.items, line);
    if (!item_index) return lines.wrong(Code::not_found, "an item that the data set does not have");
    pairs.push_back({*viewer_index, *item_index});
  }
  std::ranges::sort(pairs);
  const auto [begin, end] = std::ranges::unique(pairs);
  pairs.erase(begin, end);
  return pairs;
}

}  // namespace ribalta::feed
