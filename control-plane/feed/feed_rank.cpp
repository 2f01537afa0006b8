// A page: from sources over the filter and the scorer to the order in which items are shown.
#include <algorithm>
#include <iterator>

#include "control-plane/feed/feed.h"
#include "control-plane/feed/random.h"

namespace ribalta::feed {

/// What any source proposes, by index, each once. A source is asked to keep to the filter, and is not believed.
std::vector<ItemIndex> Feed::candidates(std::span<const Seen> taste, const Filter& filter, std::int64_t now_ms) const {
  const Allowed allowed = [&filter](ItemIndex item) { return filter.allows(item); };
  std::vector<Candidate> found;
  std::vector<ItemIndex> items;
  for (const Source* source : sources_) {
    found.clear();
    source->find(taste, now_ms, options_.candidates_per_source, allowed, found);
    if (found.size() > options_.candidates_per_source) found.resize(options_.candidates_per_source);
    for (const Candidate& candidate : found) items.push_back(candidate.item);
  }
  std::ranges::sort(items);
  items.erase(std::unique(items.begin(), items.end()), items.end());
  std::erase_if(items, [&filter](ItemIndex item) { return !filter.allows(item); });
  return items;
}

std::vector<ItemIndex> Feed::explored(const Request& request, const Filter& filter) const {
  // Viewers who ask with one seed are not to be shown the same items.
  const std::uint64_t seed = Random{request.seed, request.audience.viewer.value}.bits();
  const std::size_t slots = exploration_.slots(std::min(request.count, kPageMax), seed);
  return exploration_.draw(slots, seed, [&filter](ItemIndex item) { return filter.allows(item); });
}

Example Feed::example(UserId viewer, ItemIndex index, const Evidence& evidence, std::int64_t now_ms) const {
  const StoredItem& item = items_.at(index);
  return {.evidence = evidence,
          .viewer = viewer,
          .item = item.id,
          .author = item.author,
          .topics = item.topics,
          .duration_ms = item.duration_ms,
          .age_ms = now_ms - item.published_ms,
          .hour = static_cast<int>(now_ms / 3'600'000 % 24)};
}

std::vector<Ranked> Feed::rank(const Request& asked) const {
  Request request = asked;
  request.audience.now_ms = std::clamp<std::int64_t>(request.audience.now_ms, 0, 9'000'000'000'000);
  request.count = std::min(request.count, kPageMax);
  const Viewer* viewer = viewers_.find(request.audience.viewer);
  const Filter filter{items_, viewer, request.audience, options_.shown_window};

  const std::vector<ItemIndex> exploring = explored(request, filter);
  std::vector<ItemIndex> items =
      candidates(viewer ? viewer->taste() : std::span<const Seen>{}, filter, request.audience.now_ms);
  std::erase_if(items, [&](ItemIndex item) { return std::ranges::find(exploring, item) != exploring.end(); });
  std::vector<Ranked> page = arranged(request, std::move(items), exploring, request.count);
  if (page.size() == request.count || filter.served().empty()) return page;

  // The last resort: what they were given a moment ago, and may not have got.
  std::vector<ItemIndex> again;
  std::ranges::copy_if(filter.served(), std::back_inserter(again),
                       [&](ItemIndex item) { return filter.check(item) == Refusal::served_just_now; });
  std::ranges::move(arranged(request, std::move(again), {}, request.count - page.size()), std::back_inserter(page));
  return page;
}

/// Up to `count` of `items` by their scores, and those that exploration has a slot for between them.
std::vector<Ranked> Feed::arranged(const Request& request, std::vector<ItemIndex> items,
                                   std::span<const ItemIndex> exploring, std::size_t count) const {
  const Audience& audience = request.audience;
  const Viewer* viewer = viewers_.find(audience.viewer);
  const std::size_t proposed = items.size();
  items.insert(items.end(), exploring.begin(), exploring.end());  // scored beside the others, to say why
  const std::span<const Seen> taste = viewer ? viewer->taste() : std::span<const Seen>{};
  const std::vector<Evidence> evidence = gather(sources_, taste, audience.now_ms, items);
  std::vector<Candidate> scored(items.size());
  for (std::size_t i = 0; i < items.size(); ++i) {
    scored[i] = {items[i], scorer_.score(example(audience.viewer, items[i], evidence[i], audience.now_ms))};
  }
  const std::vector<std::size_t> order =
      diversify(items_, std::span{scored}.first(proposed), viewer ? viewer->last() : std::span<const ItemIndex>{},
                count - exploring.size(), options_.diversity);

  // Exploration's slots are spread over the page, from a place that the seed chooses.
  std::vector<Ranked> page;
  const std::size_t whole = order.size() + exploring.size();
  std::size_t next_explored = 0;
  std::size_t next = 0;
  const std::uint64_t from = exploring.empty() ? 0 : Random{request.seed, 3}.below(whole / exploring.size());
  while (page.size() < whole) {
    const bool due = next_explored < exploring.size() &&
                     (next == order.size() || page.size() >= from + next_explored * whole / exploring.size());
    const std::size_t at = due ? proposed + next_explored++ : order[next++];
    const Example why = example(audience.viewer, items[at], evidence[at], audience.now_ms);
    page.push_back({items_.at(items[at]).id, scored[at].score, due, scorer_.explain(why), evidence[at]});
  }
  return page;
}

}  // namespace ribalta::feed
