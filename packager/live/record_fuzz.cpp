// A stream's record from the store: whatever the bytes, it is refused or a window can go on from it and be written
// again.
#include <cstdlib>

#include "packager/live/manifests.h"
#include "packager/live/record.h"
#include "packager/live/store_job.h"
#include "packager/live/testing.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace ribalta;
  using namespace ribalta::packager;
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  const Result<StreamRecord> record = parse_record(text);
  if (!record) return 0;
  std::vector<std::vector<SharedInit>> inits;
  const auto add = [&](const std::string& name, media::TrackKind kind) {
    std::vector<SharedInit> made;
    for (const RecordTrack& track : record->tracks) {
      if (track.track != name) continue;
      for (std::int64_t i = 0; i < track.inits; ++i) made.push_back(packager::testing::make_init(kind, i));
    }
    inits.push_back(std::move(made));
  };
  for (const auto& video : record->plan.video) add(video.track, media::TrackKind::video);
  for (const auto& audio : record->plan.audio) add(audio.track, media::TrackKind::audio);
  Result<std::vector<Row>> rows = window_rows(*record, inits);
  if (!rows) return 0;
  Window window({});
  Window::Restored restored;
  restored.plan = record->plan;
  restored.rows = std::move(*rows);
  restored.announced = record->announced;
  restored.first_listed = record->media_sequence;
  restored.period_epoch = Epoch{record->period_epoch};
  window.restore(std::move(restored), {});
  window.tick({});
  for (std::size_t track = 0; track < window.tracks().size(); ++track) {
    if (window.announced() >= 0) live_media_playlist(window, track, {.start_unix_ms = record->start_unix_ms});
  }
  if (window.announced() >= 0) live_mpd(window, {.start_unix_ms = record->start_unix_ms}, from_unix_ms(0));
  StreamRecord again = *record;
  again.rows = record_rows(window);
  if (!parse_record(write_record(again))) std::abort();
  return 0;
}
