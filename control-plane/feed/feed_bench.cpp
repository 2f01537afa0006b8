// What a page costs: feeds of so many items each, filled with made-up events, trained, and asked by turns. Lines of
// JSON: the pages of each round, then what it took to fill each feed. Viewers have one to three tastes of 64 and watch
// what is of one of them four times of five; popular items draw more.
#include <malloc.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "control-plane/feed/feed.h"
#include "control-plane/feed/random.h"

namespace {

using namespace ribalta::feed;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kTastes = 64;
constexpr std::size_t kDimensions = 32;
constexpr std::uint64_t kRounds = 5;
constexpr std::size_t kItemsMin = 400;  // each of the tastes has one then
constexpr std::int64_t kBeginMs = 1'800'000'000'000;
/// Seven days lie between the first event and the last.
constexpr std::int64_t kSpanMs = 7LL * 24 * 3600 * 1000;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// Of this thread, which waits for nothing while it makes a page: what others do on the machine is not in it.
double cpu_ms() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return 1000 * static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e6;
}

double resident_mb() {
  std::ifstream status{"/proc/self/status"};
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmRSS:")) return std::strtod(line.c_str() + 6, nullptr) / 1024;
  }
  return 0;
}

std::uint64_t taste_of(std::uint64_t item) { return Random{item, 11}.below(kTastes); }

Item made_item(std::uint64_t id) {
  const std::uint64_t taste = taste_of(id);
  Random random{id, 12};
  Item item{.id = ItemId{id}, .author = UserId{1'000'000'000 + random.below(1 + id / 10)}};
  item.topics = {TopicId{1 + taste}};
  item.duration_ms = 5000 + static_cast<std::int64_t>(random.below(60'000));
  item.published_ms = kBeginMs - static_cast<std::int64_t>(random.below(100 * 24)) * 3'600'000;
  Random centre{taste, 13};
  for (std::size_t i = 0; i < kDimensions; ++i) {
    item.embedding.push_back(static_cast<float>(centre.normal() + random.normal()));
  }
  return item;
}

/// Of a taste's items, the low ranks far more often than the high ones.
std::uint64_t drawn_item(const std::vector<std::vector<std::uint64_t>>& by_taste, std::uint64_t viewer,
                         Random& random) {
  const std::uint64_t tastes = 1 + Random{viewer, 14}.below(3);
  const bool own = random.below(5) > 0;
  const std::uint64_t taste = own ? Random{viewer, 20 + random.below(tastes)}.below(kTastes) : random.below(kTastes);
  const auto& items = by_taste[taste];
  const double u = random.uniform();
  return items[static_cast<std::size_t>(u * u * u * static_cast<double>(items.size()))];
}

/// A feed of that many items, filled and trained, and what that took.
struct Filled {
  std::unique_ptr<Feed> feed;
  std::size_t items = 0;
  double load_s = 0;
  double learn_s = 0;
  double train_s = 0;
  double memory_mb = 0;
};

/// By taste, the most popular first.
std::vector<std::vector<std::uint64_t>> loaded(Feed& feed, std::size_t items) {
  std::vector<std::vector<std::uint64_t>> by_taste(kTastes);
  for (std::uint64_t id = 1; id <= items; ++id) {
    feed.upsert(std::array{made_item(id)}, kBeginMs);
    by_taste[taste_of(id)].push_back(id);
  }
  return by_taste;
}

Filled filled(std::size_t items, std::size_t viewers, std::size_t events) {
  FeedOptions options;
  options.embedding_dimensions = kDimensions;
  Filled made{.feed = std::make_unique<Feed>(options), .items = items};
  Feed& feed = *made.feed;
  malloc_trim(0);  // what was freed and kept is neither this feed's nor the next one's
  const double before_mb = resident_mb();
  std::fprintf(stderr, "%zu items: loading\n", items);
  const Clock::time_point load_begin = Clock::now();
  std::vector<std::vector<std::uint64_t>> by_taste = loaded(feed, items);
  made.load_s = seconds_since(load_begin);
  std::fprintf(stderr, "%zu items: loaded in %.0f s\n", items, made.load_s);

  const Clock::time_point learn_begin = Clock::now();
  Random random{1};
  for (std::size_t i = 0; i < events; ++i) {
    const std::uint64_t viewer = 1 + random.below(viewers);
    const std::int64_t time_ms =
        kBeginMs + static_cast<std::int64_t>(i) * (kSpanMs / static_cast<std::int64_t>(events));
    const float watched = static_cast<float>(random.uniform()) * 1.5F;
    const ItemId item{drawn_item(by_taste, viewer, random)};
    feed.served(UserId{viewer}, std::array{Ranked{.item = item}}, time_ms);
    feed.learn(std::array{Event{UserId{viewer}, item, Action::view, watched, time_ms}}, time_ms);
  }
  made.learn_s = seconds_since(learn_begin);

  const Clock::time_point train_begin = Clock::now();
  Trained trained = train(Matrix{feed.interactions()});
  made.train_s = seconds_since(train_begin);
  if (!feed.install(std::move(trained))) std::abort();
  by_taste = {};
  malloc_trim(0);
  made.memory_mb = resident_mb() - before_mb;
  std::fprintf(stderr, "%zu items: learned %zu events in %.0f s, trained in %.0f s\n", items, events, made.learn_s,
               made.train_s);
  return made;
}

/// CPU ms of each page, ascending; none: one was not full.
std::vector<double> asked(const Feed& feed, std::size_t viewers, std::size_t pages, std::uint64_t round) {
  std::vector<double> milliseconds;
  for (std::size_t i = 0; i < pages; ++i) {
    Request request;
    request.seed = round * pages + i;
    request.audience.viewer = UserId{1 + Random{request.seed, 15}.below(viewers)};
    request.audience.now_ms = kBeginMs + kSpanMs;
    const double begin = cpu_ms();
    const std::vector<Ranked> page = feed.rank(request);
    milliseconds.push_back(cpu_ms() - begin);
    if (page.size() != request.count) return {};
  }
  std::ranges::sort(milliseconds);
  return milliseconds;
}

/// By turns, so that a machine that is slower for a while is so for all; each for many pages, so that all but the first
/// find the processor's caches as their own left them.
int run(std::span<const std::size_t> sizes, std::size_t viewers, std::size_t events, std::size_t pages) {
  std::vector<Filled> feeds;
  feeds.reserve(sizes.size());
  for (const std::size_t items : sizes) feeds.push_back(filled(items, viewers, events));
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    for (const Filled& one : feeds) {
      const std::vector<double> milliseconds = asked(*one.feed, viewers, pages, round);
      if (milliseconds.empty()) {
        std::fprintf(stderr, "%zu items: a page was not full\n", one.items);
        return 1;
      }
      const auto quantile = [&](double q) {
        return milliseconds[static_cast<std::size_t>(q * static_cast<double>(pages - 1))];
      };
      std::printf("{\"items\":%zu,\"round\":%llu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}\n", one.items,
                  static_cast<unsigned long long>(round), quantile(0.5), quantile(0.99), quantile(1));
    }
  }
  for (const Filled& one : feeds) {
    std::printf("{\"items\":%zu,\"load_s\":%.2f,\"learn_s\":%.2f,\"train_s\":%.2f,\"memory_mb\":%.0f}\n", one.items,
                one.load_s, one.learn_s, one.train_s, one.memory_mb);
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::size_t> numbers;
  for (int i = 1; i < argc; ++i) {
    numbers.push_back(std::strtoull(argv[i], nullptr, 10));
    if (numbers.back() == 0 || numbers.back() > 100'000'000) {
      std::fprintf(stderr, "%s: a number from 1 to 100000000 is needed\n", argv[i]);
      return 2;
    }
  }
  if (numbers.size() < 4) {
    std::fprintf(stderr, "usage: ribalta-feed-bench VIEWERS EVENTS PAGES ITEMS...\n");
    return 2;
  }
  if (std::ranges::any_of(std::span{numbers}.subspan(3), [](std::size_t items) { return items < kItemsMin; })) {
    std::fprintf(stderr, "%zu items or more are needed: some for each taste\n", kItemsMin);
    return 2;
  }
  return run(std::span{numbers}.subspan(3), numbers[0], numbers[1], numbers[2]);
}
