#include "transcode/config.h"

#include <unistd.h>

#include <cstdint>
// x264.h needs the line above.
#include <x264.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>
#include <utility>

namespace ribalta::transcode {

void read_transcode_config(ConfigReader& reader, TranscodeConfig& config) {
  using std::chrono::hours;
  using std::chrono::minutes;
  constexpr std::int64_t kTebibyte = std::int64_t{1} << 40;
  reader.section("transcode")
      .integer("live_jobs_max", config.live_jobs_max, 0, 1000, "lives at once; 0: one for each two cores")
      .integer("vod_jobs_max", config.vod_jobs_max, 0, 1000, "uploads at once")
      .integer("cores", config.cores, 0, 1024, "cores to plan with; 0: all")
      .text("vod_preset", config.vod_preset, "x264 preset for uploads")
      .text("live_preset", config.live_preset, "x264 preset for lives")
      .integer("vod_crf_tenths", config.vod_crf_tenths, 0, 510, "x264 quality in tenths; 0: mean bitrates instead")
      .integer("short_side_max", config.short_side_max, 120, 2160, "short side of the largest rung, pixels")
      .integer("rungs_max", config.rungs_max, 1, 10, "rungs of an upload")
      .integer("child_memory_mb", config.child_memory_mb, 512, 1'048'576, "address space of a media child, MiB")
      .duration("child_cpu_s", config.child_cpu, minutes{1}, hours{24 * 30}, "CPU time for one upload")
      .integer("source_bytes_max", config.limits.bytes_max, 1, 64 * kTebibyte, "largest upload that is worked on")
      .integer("source_duration_s_max", config.limits.duration_s_max, 1, 7 * 86'400, "longest upload, seconds")
      .integer("source_side_max", config.limits.side_max, 16, 16'384, "longest side of an upload's picture, pixels")
      .integer("source_fps_max", config.limits.fps_max, 1, 100'000,
               "frames a second of an upload; over 60 are left out")
      .text("control", config.control, "address of the control plane")
      .text("packager", config.packager, "address of the packager, when Redis does not say")
      .path("spool", config.spool, "folder for tracks while they are made")
      .path("program", config.program, "the media child's program");
}

void check_transcode_config(const TranscodeConfig& config, const NodeConfig& node, ConfigReader& reader) {
  for (const auto& [key, preset] :
       {std::pair{"vod_preset", config.vod_preset}, std::pair{"live_preset", config.live_preset}}) {
    x264_param_t parameters;
    if (x264_param_default_preset(&parameters, preset.c_str(), nullptr) < 0) {
      reader.complain("transcode", key, "not a preset of x264 (ultrafast … placebo): " + preset);
    }
  }
  check_address(reader, "transcode", "control", config.control);
  check_address(reader, "transcode", "packager", config.packager);
  const std::filesystem::path spool = config.spool.empty() ? node.data / "transcode" / "spool" : config.spool;
  if (const auto usable = check_folder(spool); !usable) reader.complain("transcode", "spool", usable.error().message);
  if (!config.program.empty() && ::access(config.program.c_str(), X_OK) != 0) {
    reader.complain("transcode", "program", config.program.string() + " can't be run: " + std::strerror(errno));
  }
}

TranscodeConfig completed(TranscodeConfig config, const NodeConfig& node) {
  if (config.cores == 0) config.cores = std::max(1U, std::thread::hardware_concurrency());
  if (config.live_jobs_max == 0) config.live_jobs_max = std::max<std::int64_t>(1, config.cores / 2);
  if (config.control.empty()) config.control = "unix:" + (node.run / "control.sock").string();
  if (config.packager.empty()) config.packager = "unix:" + (node.run / "packager.sock").string();
  if (config.spool.empty()) config.spool = node.data / "transcode" / "spool";
  return config;
}

}  // namespace ribalta::transcode
