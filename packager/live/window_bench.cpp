// What a live costs the origin apart from sockets and disk: a second of a ladder of three video tracks (30 frames a
// second, one frame a chunk) and one of audio, through buffers and window; and the text that players ask for.
#include <benchmark/benchmark.h>

#include "packager/live/manifests.h"
#include "packager/live/record.h"
#include "packager/live/store_job.h"
#include "packager/live/testing.h"

using namespace ribalta;
using namespace ribalta::packager;

namespace {

/// A window that has run for a minute, and goes on.
struct Running {
  Window window{{}};
  testing::Feeder feeder{window};
  SharedInit audio = testing::make_init(media::TrackKind::audio);
  testing::Feeder::Video source{.name = "src-v", .source = true};
  testing::Feeder::Video upper{.name = "v720"};
  testing::Feeder::Video lower{.name = "v360"};
  std::int64_t second = 0;
  Running() {
    window.set_plan(testing::make_plan({"src-v", "v720", "v360"}), feeder.now);
    while (second < 60) step();
  }
  void step() {
    for (const auto* track : {&source, &upper, &lower}) feeder.video(*track, second * 30, second * 30 + 30);
    feeder.audio("src-a", true, static_cast<double>(second), static_cast<double>(second + 1), 1, audio);
    feeder.announce();
    window.release_older();
    ++second;
  }
};

void second_of_a_ladder(benchmark::State& state) {
  Running running;
  for (auto _ : state) running.step();
}
BENCHMARK(second_of_a_ladder)->Unit(benchmark::kMicrosecond);

void media_playlist(benchmark::State& state) {
  Running running;
  for (auto _ : state) benchmark::DoNotOptimize(live_media_playlist(running.window, 0, {}));
}
BENCHMARK(media_playlist)->Unit(benchmark::kMicrosecond);

void mpd(benchmark::State& state) {
  Running running;
  for (auto _ : state) benchmark::DoNotOptimize(live_mpd(running.window, {}, from_unix_ms(0)));
}
BENCHMARK(mpd)->Unit(benchmark::kMicrosecond);

void record(benchmark::State& state) {
  Running running;
  StreamRecord written;
  written.stream = "0123456789abcdef";
  written.plan = *running.window.plan();
  for (auto _ : state) {
    written.rows = record_rows(running.window);
    benchmark::DoNotOptimize(write_record(written));
  }
}
BENCHMARK(record)->Unit(benchmark::kMicrosecond);

}  // namespace
