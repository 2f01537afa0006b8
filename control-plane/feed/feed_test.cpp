#include "control-plane/feed/feed.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <thread>

#include "control-plane/feed/testing.h"

namespace ribalta::feed {
namespace {

using testing::event;
using testing::item;
using testing::kDayMs;
using testing::kNowMs;
using testing::options;
using testing::request;
using testing::tell;

/// Proposes everything that there is and much that there is not, twice, whatever may be shown.
class Hostile final : public Source {
 public:
  [[nodiscard]] std::string_view name() const override { return "taste"; }
  void find(std::span<const Seen> /*history*/, std::int64_t /*now_ms*/, std::size_t /*limit*/,
            const Allowed& /*allowed*/, std::vector<Candidate>& out) const override {
    for (ItemIndex i = 0; i < 70; ++i) {
      out.push_back({i, std::nanf("")});
      out.push_back({i, std::numeric_limits<float>::infinity()});
    }
    out.insert(out.begin(), {std::numeric_limits<ItemIndex>::max(), 5});
  }
  void score(std::span<const Seen> /*history*/, std::int64_t /*now_ms*/, std::span<const ItemIndex> items,
             std::span<float> out) const override {
    for (std::size_t i = 0; i < items.size(); ++i) {
      out[i] = i % 3 == 0 ? std::nanf("") : (i % 3 == 1 ? std::numeric_limits<float>::infinity() : -3e38F);
    }
  }
};

Trained one(std::unique_ptr<const Source> source) {
  Trained trained;
  trained.sources.push_back(std::move(source));
  return trained;
}

std::vector<ItemId> ids(const std::vector<Ranked>& page) {
  std::vector<ItemId> found;
  found.reserve(page.size());
  for (const Ranked& ranked : page) found.push_back(ranked.item);
  return found;
}

/// Items 1 to `last`, each of an author of its own.
void stock(Feed& feed, std::uint64_t last) {
  std::vector<Item> items;
  for (std::uint64_t id = 1; id <= last; ++id) items.push_back(item(id, id));
  feed.upsert(items, kNowMs);
}

/// The first page of viewer 300, out of 60 items, served.
std::vector<Ranked> served_page(Feed& feed) {
  stock(feed, 60);
  std::vector<Ranked> page = feed.rank(request(300));
  feed.served(UserId{300}, page, kNowMs);
  return page;
}

/// 60 items of 20 authors, drawn with every property that a filter looks at.
std::vector<Item> drawn_items(Random& random) {
  std::vector<Item> items;
  for (std::uint64_t id = 1; id <= 60; ++id) {
    Item made = item(id, 1 + random.below(20), 1 + random.below(5));
    made.visible = random.below(5) > 0;
    made.rating = static_cast<AgeRating>(random.below(3));
    made.language = std::array{"", "it", "en"}[random.below(3)];
    made.published_ms = kNowMs - kDayMs + static_cast<std::int64_t>(random.below(2 * kDayMs));
    items.push_back(made);
  }
  return items;
}

TEST_CASE("feed: no source gets anything past the filter") {
  for (std::uint64_t seed = 0; seed < 60; ++seed) {
    Random random{seed};
    Feed feed{options()};
    const std::vector<Item> items = drawn_items(random);
    feed.upsert(items, kNowMs);
    REQUIRE(feed.install(one(std::make_unique<Hostile>())));
    std::set<ItemId> shown;
    for (int i = 0; i < 10; ++i) {
      const std::uint64_t id = 1 + random.below(60);
      shown.insert(ItemId{id});
      tell(feed, event(3, id, random.below(2) == 0 ? Action::impression : Action::not_interested));
    }
    Request asked = request(3, kNowMs, seed);
    asked.audience.age = static_cast<AgeRating>(random.below(3));
    if (random.below(2) == 0) asked.audience.languages = {"it"};
    asked.audience.blocked = {UserId{1 + random.below(20)}, UserId{1 + random.below(20)}};
    asked.count = 60;
    std::set<ItemId> page;
    for (const Ranked& ranked : feed.rank(asked)) {
      CHECK(page.insert(ranked.item).second);
      REQUIRE(ranked.item.value >= 1);
      const Item& found = items[ranked.item.value - 1];
      CHECK(found.visible);
      CHECK(found.rating <= asked.audience.age);
      CHECK((asked.audience.languages.empty() || found.language != "en"));
      CHECK(found.published_ms <= kNowMs);
      CHECK(found.author != UserId{3});
      CHECK(std::ranges::find(asked.audience.blocked, found.author) == asked.audience.blocked.end());
      CHECK((!shown.contains(found.id) || found.author == UserId{3}));
      CHECK(std::isfinite(ranked.score));
    }
  }
}

TEST_CASE("feed: whatever events say, scores stay finite and pages come") {
  FeedOptions with = options();
  with.embedding_dimensions = 4;
  Feed feed{with};
  std::vector<Item> items;
  const float infinity = std::numeric_limits<float>::infinity();
  for (std::uint64_t id = 1; id <= 50; ++id) {
    Item made = item(id, id % 7);
    made.duration_ms =
        id % 2 == 0 ? std::numeric_limits<std::int64_t>::min() : std::numeric_limits<std::int64_t>::max();
    made.published_ms = id % 3 == 0 ? std::numeric_limits<std::int64_t>::min() : kNowMs;
    made.embedding = {std::nanf(""), infinity, 1, 2};
    if (id % 2 == 0) made.embedding = {1, static_cast<float>(id), 3, 4};
    items.push_back(made);
  }
  for (std::uint64_t topic = 1; topic <= 100'000; ++topic) items[0].topics.push_back(TopicId{topic});
  items.push_back(item(0));
  feed.upsert(items, kNowMs);
  CHECK(feed.exploration().waiting() > 20);
  Random random{5};
  const std::array watched{std::nanf(""), infinity, -infinity, 3e38F, -1.0F, 0.5F, 1.0F};
  const std::array times{std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max(),
                         std::int64_t{-1}, kNowMs};
  for (int round = 0; round < 100; ++round) {
    const std::uint64_t viewer = random.below(4);
    const std::int64_t now_ms = times[random.below(times.size())];
    const auto page = feed.rank(request(viewer, now_ms, random.bits()));
    for (const Ranked& ranked : page) CHECK(std::isfinite(ranked.score));
    feed.served(UserId{viewer}, page, now_ms);
    for (int i = 0; i < 50; ++i) {
      tell(feed, event(viewer, random.below(60), static_cast<Action>(random.below(9)),
                       times[random.below(times.size())], watched[random.below(watched.size())]));
    }
  }
  CHECK(feed.ignored() > 0);
  CHECK(feed.rank(request(99)).size() == 20);
}

TEST_CASE("feed: a page has count items, each once, and reasons that add up to the score") {
  Feed feed{options()};
  std::vector<Item> items;
  for (std::uint64_t id = 1; id <= 200; ++id) items.push_back(item(id, id % 50 + 1, id % 8 + 1));
  feed.upsert(items, kNowMs);
  for (std::uint64_t viewer = 300; viewer < 330; ++viewer) {
    for (std::uint64_t i = 0; i < 10; ++i) {
      tell(feed, event(viewer, 1 + (viewer + i * 8) % 200, Action::complete, kNowMs - 1000));
    }
  }
  const auto page = feed.rank(request(300));
  REQUIRE(page.size() == 20);
  for (const Ranked& ranked : page) {
    REQUIRE_FALSE(ranked.terms.empty());
    const float sum = std::accumulate(ranked.terms.begin(), ranked.terms.end(), 0.0F,
                                      [](float all, const Term& term) { return all + term.amount; });
    CHECK(sum == doctest::Approx(ranked.score).epsilon(1e-3));
  }
  Request more = request(300);
  more.count = 1'000'000;
  CHECK(feed.rank(more).size() <= kPageMax);
  more.count = 0;
  CHECK(feed.rank(more).empty());
  CHECK(Feed{options()}.rank(request(1)).empty());
}

TEST_CASE("feed: new items get their slots and no more, and their impressions count once a viewer") {
  Feed feed{options()};
  std::vector<Item> items;
  for (std::uint64_t id = 1; id <= 100; ++id) items.push_back(item(id, id));
  Item fresh = item(500, 77);
  fresh.published_ms = kNowMs - 1000;
  items.push_back(fresh);
  feed.upsert(items, kNowMs);
  const ItemIndex index = 100;
  CHECK(feed.exploration().is_open(index));
  const auto page = feed.rank(request(300));
  CHECK(std::ranges::count(page, true, &Ranked::exploring) == 1);
  feed.served(UserId{300}, page, kNowMs);
  for (int i = 0; i < 5; ++i) tell(feed, event(300, 500, Action::view, kNowMs + i, 1));
  tell(feed, event(77, 500, Action::view, kNowMs, 1));  // its author
  CHECK(feed.exploration().impressions(index) == 1);
  // Others say that they saw it, to whom nobody served it: its impressions are not theirs to spend.
  for (std::uint64_t viewer = 400; viewer < 600; ++viewer) tell(feed, event(viewer, 500, Action::complete, kNowMs, 1));
  CHECK(feed.exploration().impressions(index) == 1);
  CHECK(feed.exploration().worth(20'000, 0.5F) < 0.55F);  // nor what is usual theirs to say
  items.back().visible = false;
  feed.upsert(items, kNowMs);
  CHECK_FALSE(feed.exploration().is_open(index));
  items.back().visible = true;
  feed.upsert(items, kNowMs + 30 * kDayMs);  // long under review
  CHECK(feed.exploration().is_open(index));
  CHECK(feed.exploration().impressions(index) == 1);
}

TEST_CASE("feed: what was served teaches the scorer once its outcome is known, and only if it was on the screen") {
  Feed feed{options()};
  const auto page = served_page(feed);
  tell(feed, event(300, page[0].item.value, Action::complete, kNowMs + 1000));
  tell(feed, event(300, page[1].item.value, Action::skip, kNowMs + 2000));
  CHECK(feed.scorer().learned() == 0);
  tell(feed, event(300, page[0].item.value, Action::like, kNowMs + 600'999));
  CHECK(feed.scorer().learned() == 0);
  tell(feed, event(300, page[0].item.value, Action::like, kNowMs + 602'000));
  CHECK(feed.scorer().learned() == 3);  // both, and one chosen before the other
}

TEST_CASE("feed: what is on the screen while the next page is asked for is learned from when it has been left") {
  Feed feed{options()};
  const auto page = served_page(feed);
  tell(feed, event(300, page[0].item.value, Action::skip, kNowMs + 1000));
  tell(feed, event(300, page[1].item.value, Action::impression, kNowMs + 2000));
  const auto next = feed.rank(request(300, kNowMs + 3000, 2));
  feed.served(UserId{300}, next, kNowMs + 3000);
  CHECK(feed.scorer().learned() == 1);
  for (std::size_t i = 2; i < page.size(); ++i) {
    CHECK(std::ranges::find(next, page[i].item, &Ranked::item) == next.end());  // on its way to the screen
  }
  tell(feed, event(300, page[1].item.value, Action::complete, kNowMs + 20'000));
  tell(feed, event(300, page[2].item.value, Action::impression, kNowMs + 21'000));
  feed.served(UserId{300}, {}, kNowMs + 22'000);
  CHECK(feed.scorer().learned() == 2);
}

TEST_CASE("feed: a like for the video before does not take the one on the screen for left") {
  Feed feed{options()};
  const auto page = served_page(feed);
  tell(feed, event(300, page[0].item.value, Action::complete, kNowMs + 1000));
  tell(feed, event(300, page[1].item.value, Action::impression, kNowMs + 2000));
  tell(feed, event(300, page[0].item.value, Action::like, kNowMs + 3000));
  feed.served(UserId{300}, {}, kNowMs + 4000);
  CHECK(feed.scorer().learned() == 1);
  CHECK(feed.viewers().find(UserId{300})->watches == feed.items().find(page[1].item));
}

TEST_CASE("feed: who takes an hour for a page is learned from all the same, and its new items count") {
  Feed feed{options()};
  std::vector<Item> items;
  for (std::uint64_t id = 1; id <= 20; ++id) {
    items.push_back(item(id, id));
    items.back().published_ms = kNowMs - 1000;
  }
  feed.upsert(items, kNowMs);
  const auto page = feed.rank(request(300));
  REQUIRE(page.size() == 20);
  feed.served(UserId{300}, page, kNowMs);
  for (std::size_t i = 0; i < page.size(); ++i) {
    const std::int64_t now_ms = kNowMs + static_cast<std::int64_t>(i) * 180'000;
    feed.learn(std::array{event(300, page[i].item.value, Action::complete, now_ms)}, now_ms);
  }
  for (ItemIndex index = 0; index < 20; ++index) CHECK(feed.exploration().impressions(index) == 1);
  feed.served(UserId{300}, {}, kNowMs + 3'600'000);
  CHECK(feed.scorer().learned() == 19);  // the last is on the screen
}

TEST_CASE("feed: where there is little else, what was served a moment ago comes again, last, and never what was seen") {
  Feed feed{options()};
  stock(feed, 25);
  const auto first = feed.rank(request(300));
  REQUIRE(first.size() == 20);
  feed.served(UserId{300}, first, kNowMs);
  for (std::size_t i = 0; i < 3; ++i) tell(feed, event(300, first[i].item.value, Action::impression));
  const auto second = feed.rank(request(300, kNowMs + 1000, 2));
  REQUIRE(second.size() == 20);
  for (std::size_t i = 0; i < second.size(); ++i) {
    const auto place = std::ranges::find(first, second[i].item, &Ranked::item);
    CHECK((place == first.end()) == (i < 5));
    CHECK(place - first.begin() >= 3);
    CHECK_FALSE(second[i].terms.empty());
  }
}

TEST_CASE("feed: whatever time events claim, nothing that was seen comes again, and nobody decides what is popular") {
  for (const std::int64_t claimed : {std::int64_t{0}, std::numeric_limits<std::int64_t>::min(), kNowMs + 365 * kDayMs,
                                     std::numeric_limits<std::int64_t>::max()}) {
    Feed feed{options()};
    stock(feed, 200);
    std::set<ItemId> seen;
    for (std::int64_t i = 0; i < 10; ++i) {
      Request asked = request(300, kNowMs + i * 1000, static_cast<std::uint64_t>(i));
      asked.count = 5;
      const auto page = feed.rank(asked);
      feed.served(UserId{300}, page, asked.audience.now_ms);
      for (const Ranked& ranked : page) {
        CHECK(seen.insert(ranked.item).second);
        feed.learn(std::array{event(300, ranked.item.value, Action::skip, claimed)}, asked.audience.now_ms);
      }
    }
    for (const Ranked& ranked : feed.rank(request(300, kNowMs + 7 * kDayMs - 1000)))
      CHECK_FALSE(seen.contains(ranked.item));
    feed.learn(std::array{event(301, 7, Action::like, claimed)}, kNowMs);
    for (std::uint64_t viewer = 400; viewer < 430; ++viewer)
      tell(feed, event(viewer, 8, Action::like, kNowMs + 20'000));
    const auto page = feed.rank(request(999, kNowMs + 30 * kDayMs));
    const auto popular = [&](std::uint64_t id) {
      const auto found = std::ranges::find(page, ItemId{id}, &Ranked::item);
      if (found == page.end()) return 0.0F;
      const auto term = std::ranges::find(found->terms, "popular", &Term::name);
      return term == found->terms.end() ? 0.0F : term->amount;
    };
    CHECK(popular(8) > popular(7));
  }
}

TEST_CASE("feed: however much is newer that a viewer may not see, the newest that they may see is found") {
  Feed feed{options()};
  std::vector<Item> items;
  for (std::uint64_t id = 1; id <= 3020; ++id) {
    Item one = item(id, id);
    one.language = id <= 20 ? "it" : "en";
    items.push_back(one);
  }
  feed.upsert(items, kNowMs);
  Request asked = request(300);
  asked.audience.languages = {"it"};
  CHECK(feed.rank(asked).size() == 20);
}

TEST_CASE("popular: an event that comes late does not turn back the clock") {
  Popular popular{std::chrono::hours{24}};
  for (ViewerIndex viewer = 0; viewer < 10; ++viewer) popular.learn({viewer, 1, 1, kNowMs - 10 * kDayMs});
  for (ViewerIndex viewer = 0; viewer < 3; ++viewer) popular.learn({viewer, 2, 1, kNowMs});
  popular.learn({0, 3, 1, kNowMs - 10 * kDayMs});
  std::vector<Candidate> best;
  popular.find({}, kNowMs, 1, [](ItemIndex) { return true; }, best);
  REQUIRE(best.size() == 1);
  CHECK(best.front().item == 2);
}

TEST_CASE("feed: a page as long as pages may be teaches all that came of it") {
  Feed feed{options()};
  stock(feed, 120);
  Request asked = request(300);
  asked.count = kPageMax;
  const auto page = feed.rank(asked);
  REQUIRE(page.size() == kPageMax);
  feed.served(UserId{300}, page, kNowMs);
  for (const Ranked& ranked : page) tell(feed, event(300, ranked.item.value, Action::complete, kNowMs + 1));
  feed.served(UserId{300}, {}, kNowMs + 2);
  CHECK(feed.scorer().learned() == kPageMax - 1);  // the last one is on the screen still
}

TEST_CASE("feed: an unknown name is not installed, and a snapshot goes to another feed") {
  FeedOptions others = options();
  others.trained = {"factors"};
  Feed feed{others};
  CHECK(feed.install(one(std::make_unique<Hostile>())).error().code == Code::not_found);
  Feed same{others};
  CHECK(same.restore(feed.snapshot()));
  CHECK(Feed{options()}.restore(feed.snapshot()).error().code == Code::conflict);
}

TEST_CASE("feed: what training gives is what the feed listens to") {
  std::vector<std::string> names;
  for (const auto& source : train(Matrix{}).sources) names.emplace_back(source->name());
  CHECK(FeedOptions{}.trained == names);
}

/// Viewers 1001 to 1040 like items 1 to 20 if they are even, 21 to 40 if they are odd: 15 each.
std::unique_ptr<Feed> of_two_tastes() {
  auto feed = std::make_unique<Feed>(options());
  std::vector<Item> items;
  for (std::uint64_t id = 1; id <= 40; ++id) items.push_back(item(id));
  feed->upsert(items, kNowMs);
  for (std::uint64_t viewer = 1001; viewer <= 1040; ++viewer) {
    for (std::uint64_t i = 0; i < 15; ++i) {
      const std::uint64_t id = 1 + viewer % 2 * 20 + (viewer * 3 + i) % 20;
      tell(*feed, event(viewer, id, Action::like, kNowMs - 1000 + static_cast<std::int64_t>(i)));
    }
  }
  return feed;
}

TEST_CASE("feed: an item that came after the training is found by the taste of those who like it, and by no other") {
  const auto feed = of_two_tastes();
  Trained trained = train(Matrix{feed->interactions()});
  const FactorIndex& factors = *trained.factors;
  REQUIRE(feed->install(std::move(trained)));
  feed->upsert(std::array{item(500)}, kNowMs);
  const ItemIndex index = feed->items().find(ItemId{500}).value();
  const auto found = [&](std::uint64_t viewer) {
    std::vector<Candidate> best;
    const std::span<const Seen> taste = feed->viewers().find(UserId{viewer})->taste();
    const Allowed unseen = [&](ItemIndex one) { return std::ranges::find(taste, one, &Seen::item) == taste.end(); };
    factors.find(taste, kNowMs, 5, unseen, best);
    return std::ranges::find(best, index, &Candidate::item) != best.end();
  };
  for (std::uint64_t i = 0; i < kLikersFirst; ++i) {
    CHECK_FALSE(found(1040));
    tell(*feed, event(1002 + 2 * i, 500, Action::like));
  }
  CHECK(found(1040));
  CHECK_FALSE(found(1039));
  Request all = request(1040);
  all.count = 40;
  const auto page = feed->rank(all);
  const auto ranked = std::ranges::find(page, ItemId{500}, &Ranked::item);
  REQUIRE(ranked != page.end());
  const auto term = std::ranges::find(ranked->terms, "factors", &Term::name);
  REQUIRE(term != ranked->terms.end());
  CHECK(term->amount > 0);
}

TEST_CASE("feed: what was liked while models were trained is learned when they are installed") {
  const auto feed = of_two_tastes();
  Trained trained = train(Matrix{feed->interactions()});
  const FactorIndex& factors = *trained.factors;
  feed->upsert(std::array{item(500), item(501)}, kNowMs);
  const auto score = [&](std::uint64_t id) {
    float found = 0;
    factors.score(feed->viewers().find(UserId{1040})->taste(), kNowMs,
                  std::array{feed->items().find(ItemId{id}).value()}, {&found, 1});
    return found;
  };
  for (std::uint64_t i = 0; i < kLikersFirst; ++i) {
    tell(*feed, event(1002 + 2 * i, 500, Action::like));
    if (i > 0) tell(*feed, event(1002 + 2 * i, 501, Action::like));
  }
  CHECK(score(500) == 0);
  REQUIRE(feed->install(std::move(trained)));
  CHECK(score(500) > 0);
  CHECK(score(501) == 0);  // one too few
  tell(*feed, event(1020, 501, Action::like));
  CHECK(score(501) > 0);
}

TEST_CASE(
    "feed: of many that were liked meanwhile some are learned at once, those with most viewers, then one an event") {
  const auto feed = of_two_tastes();
  Trained trained = train(Matrix{feed->interactions()});
  const FactorIndex& factors = *trained.factors;
  constexpr std::uint64_t kMade = kNewcomersAtOnce + 6;
  for (std::uint64_t id = 500; id < 500 + kMade; ++id) {
    feed->upsert(std::array{item(id)}, kNowMs);
    const std::uint64_t likers = kLikersFirst + (id - 500) / 10;
    for (std::uint64_t i = 0; i < likers; ++i) tell(*feed, event(1002 + 2 * i, id, Action::like));
  }
  const auto learned = [&] {
    std::uint64_t count = 0;
    for (std::uint64_t id = 500; id < 500 + kMade; ++id) {
      float found = 0;
      factors.score(feed->viewers().find(UserId{1040})->taste(), kNowMs,
                    std::array{feed->items().find(ItemId{id}).value()}, {&found, 1});
      if (found != 0) ++count;
      if (id >= 510) CHECK(found != 0);  // of the first ten, liked by the fewest, some have to wait
    }
    return count;
  };
  REQUIRE(feed->install(std::move(trained)));
  CHECK(learned() == kNewcomersAtOnce);
  for (std::uint64_t i = 1; i <= 6; ++i) {
    tell(*feed, event(1001, 1, Action::skip));
    CHECK(learned() == kNewcomersAtOnce + i);
  }
}

TEST_CASE("newcomers: an item is learned from its first viewers and each time they are twice as many, up to the most") {
  Newcomers newcomers;
  std::vector<ViewerIndex> due;
  for (ViewerIndex viewer = 0; viewer < 3 * kLikersMax; ++viewer) {
    if (newcomers.like(7, viewer)) due.push_back(viewer + 1);
    CHECK_FALSE(newcomers.like(7, viewer));  // twice is once
  }
  CHECK(due == std::vector<ViewerIndex>{5, 10, 20, 40});
  CHECK(newcomers.likers().at(7).size() == kLikersMax);
  for (ItemIndex item = 8; item < 2 * kNewcomersMax; ++item) newcomers.like(item, 0);
  CHECK(newcomers.likers().size() == kNewcomersMax);
  for (ViewerIndex viewer = 1; viewer < kLikersFirst; ++viewer) CHECK(newcomers.like(8, viewer) == (viewer == 4));
}

TEST_CASE("feed: the same events give the same pages, on any number of threads") {
  const auto made = [](std::size_t threads) {
    FeedOptions with = options();
    with.embedding_dimensions = 8;
    auto feed = std::make_unique<Feed>(with);
    Random random{9};
    std::vector<Item> items;
    for (std::uint64_t id = 1; id <= 300; ++id) {
      Item one_item = item(id, 1 + random.below(40), 1 + random.below(8));
      if (id > 280) one_item.published_ms = kNowMs;
      for (int i = 0; i < 8; ++i) one_item.embedding.push_back(static_cast<float>(random.normal()));
      items.push_back(one_item);
    }
    feed->upsert(items, kNowMs);
    for (int i = 0; i < 4000; ++i) {
      tell(*feed, event(1000 + random.below(60), 1 + random.below(300), static_cast<Action>(random.below(6)),
                        kNowMs + i, 0.8F));
    }
    REQUIRE(feed->install(train(Matrix{feed->interactions()}, {.ials = {.threads = threads}})));
    for (std::uint64_t id = 301; id <= 310; ++id) feed->upsert(std::array{item(id, id, 1)}, kNowMs);
    for (int i = 0; i < 500; ++i) {
      tell(*feed, event(1000 + random.below(60), 301 + random.below(10), Action::like, kNowMs + 4000 + i));
    }
    return feed;
  };
  const auto alone = made(1);
  const auto many = made(3);
  std::vector<std::vector<Ranked>> expected(60);
  for (std::uint64_t viewer = 0; viewer < 60; ++viewer) expected[viewer] = alone->rank(request(1000 + viewer));
  std::vector<std::jthread> threads;
  threads.reserve(3);
  std::vector<std::vector<Ranked>> pages(60);
  for (std::uint64_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([&, thread] {
      for (std::uint64_t viewer = thread; viewer < 60; viewer += 3) pages[viewer] = many->rank(request(1000 + viewer));
    });
  }
  threads.clear();
  for (std::size_t viewer = 0; viewer < 60; ++viewer) {
    REQUIRE(ids(pages[viewer]) == ids(expected[viewer]));
    for (std::size_t i = 0; i < pages[viewer].size(); ++i) {
      CHECK(pages[viewer][i].score == expected[viewer][i].score);
      CHECK(pages[viewer][i].terms == expected[viewer][i].terms);
    }
  }
}

}  // namespace
}  // namespace ribalta::feed
