#include "control-plane/feed/feed.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <iterator>
#include <utility>

namespace ribalta::feed {
namespace {

/// The year 2255. Times from outside are brought into 0..this, so that sums of them fit.
constexpr std::int64_t kTimeMaxMs = 9'000'000'000'000;
/// Watched shares are cut off at this: whoever leaves a video running is no greater lover of it.
constexpr float kWatchedMax = 3;
/// Watched so far counts as completed, whatever is usual.
constexpr float kCompleteFrom = 0.95F;
/// Watched longer than this share of the views of items of its length: it was liked a little; counts as completed; at
/// most this, counts as skipped.
constexpr float kWorthLiked = 0.55F;
constexpr float kWorthComplete = 0.6F;
constexpr float kWorthSkipped = 0.2F;
/// A skipped item takes so much from each liked one that shares a topic: tastes change, and skipping is how people say
/// it.
constexpr float kSkipLeaves = 0.7F;
/// Items of one page that one liked item is learned against.
constexpr std::size_t kAgainstMax = 4;

std::int64_t sane_time(std::int64_t time_ms) { return std::clamp<std::int64_t>(time_ms, 0, kTimeMaxMs); }

float sane_watched(const Event& event) {
  const float watched = event.watched > 0 ? std::min(event.watched, kWatchedMax) : 0;
  return event.action == Action::complete ? std::max(watched, 1.0F) : watched;
}

/// How much an event says of liking the item; 0: nothing.
float liking(Action action, float worth) {
  switch (action) {
    case Action::like:
    case Action::complete:
      return 1;
    case Action::share:
    case Action::follow:
      return 1.5F;
    case Action::view:
      return worth >= kWorthLiked ? worth : 0;
    case Action::impression:
    case Action::skip:
    case Action::report:
    case Action::not_interested:
      break;
  }
  return 0;
}

bool is_view(Action action) { return action == Action::view || action == Action::complete || action == Action::skip; }

void set(Outcomes& came, Outcome outcome) { came.set(static_cast<std::size_t>(outcome)); }
bool has(const Outcomes& came, Outcome outcome) { return came[static_cast<std::size_t>(outcome)]; }

bool was_liked(const Outcomes& came) {
  return has(came, Outcome::complete) || has(came, Outcome::like) || has(came, Outcome::share) ||
         has(came, Outcome::follow);
}

/// In place of a model that is not installed: it knows nothing.
class Absent final : public Source {
 public:
  explicit Absent(std::string_view name) : name_(name) {}
  [[nodiscard]] std::string_view name() const override { return name_; }
  void find(std::span<const Seen> /*history*/, std::int64_t /*now_ms*/, std::size_t /*limit*/,
            const Allowed& /*allowed*/, std::vector<Candidate>& /*out*/) const override {}
  void score(std::span<const Seen> /*history*/, std::int64_t /*now_ms*/, std::span<const ItemIndex> /*items*/,
             std::span<float> out) const override {
    std::ranges::fill(out, 0.0F);
  }

 private:
  std::string name_;
};

std::vector<std::string> source_names(const FeedOptions& options) {
  std::vector<std::string> names{"watched_next", "popular", "newest", "alike"};
  names.insert(names.end(), options.trained.begin(), options.trained.end());
  return names;
}

}  // namespace

Feed::Feed(const FeedOptions& options)
    : options_(options),
      exploration_(options.exploration),
      transitions_(options.transitions),
      popular_(options.popularity_half_life),
      newest_(items_),
      scorer_(source_names(options), options.scorer) {
  if (options.embedding_dimensions > 0) embeddings_ = std::make_unique<Embeddings>(options.embedding_dimensions);
  for (const std::string& name : scorer_.sources()) absent_.push_back(std::make_unique<Absent>(name));
  list_sources();
}

void Feed::list_sources() {
  sources_.clear();
  for (const auto& absent : absent_) sources_.push_back(absent.get());
  const auto put = [this](const Source* source) {
    const auto place = std::ranges::find(scorer_.sources(), source->name());
    assert(place != scorer_.sources().end());
    sources_[static_cast<std::size_t>(place - scorer_.sources().begin())] = source;
  };
  put(&transitions_);
  put(&popular_);
  put(&newest_);
  if (embeddings_) put(embeddings_.get());
  for (const auto& model : trained_.sources) put(model.get());
}

Result<void> Feed::install(Trained trained) {
  for (const auto& model : trained.sources) {
    if (std::ranges::find(options_.trained, model->name()) == options_.trained.end()) {
      return fail(Code::not_found, "feed: no source is called", model->name());
    }
  }
  trained_ = std::move(trained);
  list_sources();
  list_newcomers();
  return {};
}

void Feed::upsert(std::span<const Item> items, std::int64_t now_ms) {
  now_ms = sane_time(now_ms);
  exploration_.pass(now_ms);
  for (const Item& item : items) {
    const std::optional<ItemIndex> index = items_.upsert(item);
    if (!index) continue;
    if (embeddings_ && !item.embedding.empty()) embeddings_->add(*index, item.embedding);
    const StoredItem& stored = items_.at(*index);
    if (!stored.visible) {
      exploration_.hide(*index);
    } else if (stored.published_ms >= now_ms - options_.new_for.count() || exploration_.is_hidden(*index)) {
      exploration_.open(*index, stored.duration_ms, stored.published_ms, now_ms);
    }
  }
}

void Feed::learn(std::span<const Event> events, std::int64_t now_ms) {
  for (const Event& event : events) learn(event, sane_time(now_ms));
}

void Feed::learn(const Event& event, std::int64_t now_ms) {
  exploration_.pass(now_ms);
  learn_due(1);
  const std::optional<ItemIndex> index = items_.find(event.item);
  Viewer* viewer =
      index && items_.at(*index).author != event.viewer ? viewers_.remember(event.viewer, now_ms) : nullptr;
  if (!viewer) {
    ++ignored_;
    return;
  }
  const std::int64_t duration_ms = items_.at(*index).duration_ms;
  const std::int64_t time_ms =
      std::clamp(event.time_ms, now_ms - std::chrono::milliseconds{kEventLateMax}.count(), now_ms);
  const float watched = sane_watched(event);
  Shown& shown = viewer->show(*index, now_ms, options_.shown_window.count());
  const auto served = std::ranges::find(viewer->served, *index, &Served::item);
  if (served != viewer->served.end() && served->seen_ms == 0) {
    served->seen_ms = std::max<std::int64_t>(now_ms, 1);
    viewer->watches = *index;
    if (!std::exchange(shown.explored, true)) exploration_.impression(*index, now_ms);
  }
  const float worth = exploration_.worth(duration_ms, watched);
  if (is_view(event.action) && !std::exchange(shown.watched, true)) {
    if (shown.explored) {
      exploration_.watched(duration_ms, watched);
      exploration_.view(*index, worth);
    }
    if (event.action == Action::skip || worth <= kWorthSkipped) fade_taste(*viewer, *index);
  }
  if (const float weight = liking(event.action, worth); weight > 0 && viewer->wants(*index)) {
    like(*viewer, shown, {*index, weight, time_ms});
  }
  if (event.action == Action::not_interested || event.action == Action::report) viewer->unwant(*index);
  take_outcome(*viewer, *index, event, worth);

  learn_served(*viewer, event.viewer, [now_ms](const Served& one) {
    const std::chrono::milliseconds limit = one.seen_ms == 0 ? kServedFor : std::chrono::milliseconds{kOutcomeWindow};
    return std::max(one.seen_ms, one.time_ms) <= now_ms - limit.count();
  });
}

void Feed::like(Viewer& viewer, Shown& shown, const Seen& liked) {
  const bool first = !std::exchange(shown.liked, true);
  if (first) {
    transitions_.learn(viewer.taste(), liked);
    popular_.learn({.item = liked.item, .weight = liked.weight, .time_ms = liked.time_ms});
  }
  viewer.like(liked.item, liked.weight, liked.time_ms);
  const auto index = static_cast<ViewerIndex>(&viewer - viewers_.all().data());
  if (first && is_newcomer(liked.item) && newcomers_.like(liked.item, index)) learn_newcomer(liked.item);
}

bool Feed::is_newcomer(ItemIndex item) const {
  return trained_.factors != nullptr && (item >= trained_.known.size() || !trained_.known[item]);
}

/// From those who have liked it and still do.
void Feed::learn_newcomer(ItemIndex item) {
  std::vector<std::span<const Seen>> histories;
  for (const ViewerIndex liker : newcomers_.likers().at(item)) {
    const std::span<const Seen> taste = viewers_.all()[liker].taste();
    if (std::ranges::find(taste, item, &Seen::item) != taste.end()) histories.push_back(taste);
  }
  trained_.factors->learn_item(item, histories);
}

/// Training takes a while, and items are liked meanwhile. Those with most viewers are learned now, the others one with
/// each event: nobody is served while models are installed.
void Feed::list_newcomers() {
  newcomers_.clear();
  const std::span<const Viewer> viewers = viewers_.all();
  for (std::size_t viewer = 0; viewer < viewers.size(); ++viewer) {
    for (const Seen& seen : viewers[viewer].taste()) {
      if (is_newcomer(seen.item)) newcomers_.like(seen.item, static_cast<ViewerIndex>(viewer));
    }
  }
  due_.clear();
  for (const auto& [item, likers] : newcomers_.likers()) {
    if (likers.size() >= kLikersFirst) due_.push_back(item);
  }
  std::ranges::sort(due_, {}, [&](ItemIndex item) { return std::pair{newcomers_.likers().at(item).size(), item}; });
  if (due_.size() > kFactorItemsLearnedMax) due_.erase(due_.begin(), due_.end() - kFactorItemsLearnedMax);
  learn_due(kNewcomersAtOnce);
}

void Feed::learn_due(std::size_t most) {
  for (; most > 0 && !due_.empty(); --most) {
    learn_newcomer(due_.back());
    due_.pop_back();
  }
}

void Feed::fade_taste(Viewer& viewer, ItemIndex skipped) {
  const StoredItem& item = items_.at(skipped);
  viewer.fade(kSkipLeaves, [&](ItemIndex liked) { return share_topic(items_.at(liked), item); });
}

void Feed::take_outcome(Viewer& viewer, ItemIndex item, const Event& event, float worth) {
  const auto served = std::ranges::find(viewer.served, item, &Served::item);
  if (served == viewer.served.end()) return;
  Outcomes& came = served->came;
  const bool completed = sane_watched(event) >= kCompleteFrom || worth >= kWorthComplete;
  if (is_view(event.action) && completed) set(came, Outcome::complete);
  if (event.action == Action::like) set(came, Outcome::like);
  if (event.action == Action::share) set(came, Outcome::share);
  if (event.action == Action::follow) set(came, Outcome::follow);
  if (event.action == Action::skip || event.action == Action::not_interested) set(came, Outcome::skip);
  if (event.action == Action::view && worth <= kWorthSkipped) set(came, Outcome::skip);
  if (event.action == Action::report) set(came, Outcome::report);
}

void Feed::served(UserId id, std::span<const Ranked> page, std::int64_t now_ms) {
  Viewer* viewer = viewers_.remember(id, sane_time(now_ms));
  if (!viewer) return;
  // Whoever asks for the next page has left what they saw of the last, but for what is on the screen still: pages are
  // asked for before they are needed.
  learn_served(*viewer, id, [&](const Served& one) { return one.seen_ms != 0 && one.item != viewer->watches; });
  for (const Ranked& ranked : page) {
    const std::optional<ItemIndex> item = items_.find(ranked.item);
    if (!item) continue;
    std::erase_if(viewer->served, [&](const Served& one) { return one.item == *item && one.seen_ms == 0; });
    viewer->served.push_back({.item = *item, .evidence = ranked.evidence, .time_ms = sane_time(now_ms)});
  }
  const Served* const kept =
      viewer->served.data() + viewer->served.size() - std::min(viewer->served.size(), kServedMax);
  learn_served(*viewer, id, [kept](const Served& one) { return &one < kept; });
}

/// Takes out those of which it is known what came of them, or never will be.
template <class Is>
void Feed::learn_served(Viewer& viewer, UserId id, const Is& known) {
  if (std::ranges::none_of(viewer.served, known)) return;
  std::vector<Served> taken;
  std::vector<Served> left;
  for (const Served& one : viewer.served) (known(one) ? taken : left).push_back(one);
  viewer.served = std::move(left);
  learn_outcomes(id, taken);
}

/// What nobody saw teaches nothing.
void Feed::learn_outcomes(UserId id, std::span<const Served> known) {
  std::vector<Example> liked;
  std::vector<Example> skipped;
  for (const Served& served : known) {
    if (served.seen_ms == 0) continue;
    Example seen = example(id, served.item, served.evidence, served.time_ms);
    scorer_.learn(seen, served.came);
    if (was_liked(served.came)) liked.push_back(seen);
    if (has(served.came, Outcome::skip) && skipped.size() < kAgainstMax) skipped.push_back(seen);
  }
  if (skipped.empty()) return;
  for (const Example& one : liked) {
    std::vector<Example> list{one};
    list.insert(list.end(), skipped.begin(), skipped.end());
    scorer_.learn_choice(list, 0);
  }
}

std::vector<Interaction> Feed::interactions() const {
  std::vector<Interaction> all;
  const std::span<const Viewer> viewers = viewers_.all();
  for (std::size_t viewer = 0; viewer < viewers.size(); ++viewer) {
    for (const Seen& seen : viewers[viewer].taste()) {
      all.push_back({static_cast<ViewerIndex>(viewer), seen.item, seen.weight, seen.time_ms});
    }
  }
  return all;
}

}  // namespace ribalta::feed
