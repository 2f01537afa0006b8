// What one viewer's or publisher's second costs: 30 chunks of one frame of 12 KiB (about 3 Mb/s).
#include <benchmark/benchmark.h>

#include "core/media/bitstream.h"
#include "core/media/cmaf_reader.h"
#include "core/media/cmaf_writer.h"
#include "core/media/media_testing.h"

using namespace ribalta;
using namespace ribalta::media;

namespace {

constexpr std::size_t kFrames = 30;
constexpr std::size_t kFrameBytes = 12 * 1024;

Bytes one_second() {
  const TrackConfig config = testing::video_config();
  const Bytes frame(kFrameBytes, std::byte{0x55});
  Bytes all = write_init(config).value();
  for (std::size_t i = 0; i < kFrames; ++i) {
    const Sample sample{.dts = static_cast<std::int64_t>(i) * 3000,
                        .duration = 3000,
                        .cts_offset = 6000,
                        .sync = i == 0,
                        .data = frame};
    const Bytes chunk = write_chunk(config, static_cast<std::uint32_t>(i + 1), std::span{&sample, 1}).value();
    all.insert(all.end(), chunk.begin(), chunk.end());
  }
  return all;
}

void write_second(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(one_second());
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * kFrames * kFrameBytes));
}
BENCHMARK(write_second);

void read_second(benchmark::State& state) {
  const Bytes all = one_second();
  const auto piece = static_cast<std::size_t>(state.range(0));
  for (auto _ : state) {
    CmafReader reader;
    std::size_t samples = 0;
    for (std::size_t at = 0; at < all.size(); at += piece) {
      reader.feed(ByteSpan{all}.subspan(at, std::min(piece, all.size() - at)));
      for (auto item = reader.next(); item && *item; item = reader.next()) {
        if (const auto* chunk = std::get_if<ChunkItem>(&**item)) samples += chunk->chunk.samples.size();
      }
    }
    if (samples != kFrames) state.SkipWithError("samples are missing");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * all.size()));
}
BENCHMARK(read_second)->Arg(1460)->Arg(65536);

void find_key_frame(benchmark::State& state) {
  Bytes frame = testing::hex("00000002 09f0 00003000 41");
  frame.resize(6 + 4 + 0x3000, std::byte{0x55});
  for (auto _ : state) benchmark::DoNotOptimize(random_access(CodecId::h264, frame));
}
BENCHMARK(find_key_frame);

}  // namespace
