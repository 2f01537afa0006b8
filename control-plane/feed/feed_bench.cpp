// What a page costs: a feed of so many items and viewers, filled with made-up events, trained, and asked. One line of
// JSON. Viewers have one to three tastes of 64 and watch what is of one of them four times of five; popular items draw
// more.
#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/feed/feed.h"
#include "control-plane/feed/random.h"

namespace {

using namespace ribalta::feed;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kTastes = 64;
constexpr std::size_t kDimensions = 32;
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

int run(std::size_t items, std::size_t viewers, std::size_t events, std::size_t pages) {
  FeedOptions options;
  options.embedding_dimensions = kDimensions;
  Feed feed{options};
  const Clock::time_point load_begin = Clock::now();
  std::vector<std::vector<std::uint64_t>> by_taste(kTastes);
  for (std::uint64_t id = 1; id <= items; ++id) {
    feed.upsert(std::array{made_item(id)}, kBeginMs);
    by_taste[taste_of(id)].push_back(id);
  }
  const double load_s = seconds_since(load_begin);

  const Clock::time_point learn_begin = Clock::now();
  Random random{1};
  for (std::size_t i = 0; i < events; ++i) {
    const std::uint64_t viewer = 1 + random.below(viewers);
    const std::int64_t time_ms =
        kBeginMs + static_cast<std::int64_t>(i) * (kSpanMs / static_cast<std::int64_t>(events));
    const float watched = static_cast<float>(random.uniform()) * 1.5F;
    feed.learn(
        std::array{Event{UserId{viewer}, ItemId{drawn_item(by_taste, viewer, random)}, Action::view, watched, time_ms}},
        time_ms);
  }
  const double learn_s = seconds_since(learn_begin);

  const Clock::time_point train_begin = Clock::now();
  Trained trained = train(Matrix{feed.interactions()});
  const double train_s = seconds_since(train_begin);
  if (!feed.install(std::move(trained))) return 1;

  std::vector<double> milliseconds;
  for (std::size_t i = 0; i < pages; ++i) {
    Request request;
    request.audience.viewer = UserId{1 + random.below(viewers)};
    request.audience.now_ms = kBeginMs + kSpanMs;
    request.seed = i;
    const double begin = cpu_ms();
    const std::vector<Ranked> page = feed.rank(request);
    milliseconds.push_back(cpu_ms() - begin);
    if (page.size() != request.count) return 1;
  }
  std::ranges::sort(milliseconds);
  const auto quantile = [&](double q) {
    return milliseconds[static_cast<std::size_t>(q * static_cast<double>(pages - 1))];
  };
  std::printf(
      "{\"items\":%zu,\"viewers\":%zu,\"events\":%zu,\"pages\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f,"
      "\"load_s\":%.2f,\"learn_s\":%.2f,\"train_s\":%.2f,\"memory_mb\":%.0f}\n",
      items, viewers, events, pages, quantile(0.5), quantile(0.99), quantile(1), load_s, learn_s, train_s,
      resident_mb());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: ribalta-feed-bench ITEMS VIEWERS EVENTS PAGES\n");
    return 2;
  }
  std::array<std::size_t, 4> numbers{};
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    numbers[i] = std::strtoull(argv[i + 1], nullptr, 10);
    if (numbers[i] == 0 || numbers[i] > 100'000'000) {
      std::fprintf(stderr, "%s: a number from 1 to 100000000 is needed\n", argv[i + 1]);
      return 2;
    }
  }
  return run(numbers[0], numbers[1], numbers[2], numbers[3]);
}
