#include "packager/config.h"

namespace ribalta::packager {

void read_packager_config(ConfigReader& reader, PackagerConfig& config) {
  using std::chrono::hours;
  using std::chrono::seconds;
  reader.section("packager")
      .integer("window_segments", config.live.window_segments, 3, 600, "segments in a live playlist")
      .integer("older_segments", config.live.older_segments, 1, 600, "segments kept behind the playlist")
      .integer("streams_max", config.live.streams_max, 1, 100'000, "live streams at once")
      .integer("stream_memory_mb", config.live.stream_memory_mb, 16, 1'048'576, "memory of one live stream, MiB")
      .duration("ended_keep_s", config.live.ended_keep, seconds{1}, hours{24 * 30},
                "how long an ended live can be watched")
      .duration("idle_end_s", config.live.idle_end, seconds{30}, hours{24}, "a live without any writer is ended");
}

}  // namespace ribalta::packager
