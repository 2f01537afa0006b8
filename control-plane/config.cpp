#include "control-plane/config.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>

namespace ribalta::control {

void read_config(ConfigReader& reader, Config& config) {
  constexpr std::int64_t kMibMax = std::int64_t{1} << 30;  // 1 PiB
  reader.section("control")
      .text("database", config.database,
            "sqlite:FILE or postgresql:host=… dbname=… user=…; default DATA/control/control.sqlite")
      .text("name", config.name, "what this instance is called")
      .text("locale", config.locale, "language of the pages for those who did not choose: en or it")
      .text("registration", config.registration,
            "open: whoever reaches the site may sign up; closed: administrators make accounts")
      .text("site_url", config.site_url, "address of the site as people type it; https: makes cookies Secure")
      .text("rtmp_url", config.rtmp_url, "server that creators enter in their encoder")
      .text("rtmps_url", config.rtmps_url, "the same with TLS; empty where there is no certificate")
      .text("packager", config.packager, "unix:PATH or HOST:PORT of the packager; default RUN/packager.sock")
      .integer("upload_mib_max", config.upload_mib_max, 1, kMibMax, "largest file, MiB")
      .integer("user_mib_max", config.user_mib_max, 1, kMibMax, "all files of one user together, MiB")
      .integer("drafts_max", config.drafts_max, 1, 1000, "uploads that one user may have under way at once")
      .integer("duration_min_max", config.duration_min_max, 1, 24 * 60, "longest video, minutes")
      .integer("side_max", config.side_max, 64, 16'384, "largest width or height of an uploaded video, pixels")
      .integer("fps_max", config.fps_max, 1, 100'000, "most frames a second of an uploaded video; over 60 are left out")
      .integer("live_rungs_max", config.live_rungs_max, 0, 6, "rungs that are encoded beside a live source")
      .integer("live_cores", config.live_cores, 0, 1024,
               "cores that a worker has, for choosing live rungs; 0: as many as here")
      .integer("live_jobs_per_worker", config.live_jobs_per_worker, 0, 1000,
               "live streams that one worker encodes at once; 0: one for each two cores, as its live_jobs_max")
      .integer("live_keep_min", config.live_keep_min, 1, 525'600,
               "minutes that an ended live stream can still be watched (the packager's ended_keep_s too)")
      .boolean("creators_by_default", config.creators_by_default, "who signs up may upload and go live");
}

namespace {

/// Stands in links and in the pages: no blanks, quotes or control characters.
bool is_url(std::string_view text, std::initializer_list<std::string_view> schemes) {
  const auto fits = [text](std::string_view scheme) { return text.starts_with(scheme) && text.size() > scheme.size(); };
  const auto plain = [](char c) { return c > ' ' && c < 0x7F && c != '"' && c != '\'' && c != '<' && c != '>'; };
  return std::ranges::any_of(schemes, fits) && std::ranges::all_of(text, plain);
}

Result<void> check_database(const std::string& address, const NodeConfig& node) {
  constexpr std::string_view kSqlite = "sqlite:";
  if (address.empty()) return check_folder(node.data / "control");
  if (address.starts_with("postgresql:")) return {};
  if (!address.starts_with(kSqlite)) return fail(Code::malformed, "begins with sqlite: or postgresql:");
  const std::filesystem::path folder = std::filesystem::path{address.substr(kSqlite.size())}.parent_path();
  std::error_code error;
  if (!folder.empty() && !std::filesystem::is_directory(folder, error)) {
    return fail(Code::io, "there is no folder", folder.string());
  }
  return check_folder(folder.empty() ? "." : folder);
}

}  // namespace

void check_config(const Config& config, const NodeConfig& node, ConfigReader& reader) {
  const auto complain = [&reader](std::string_view key, std::string_view what) {
    reader.complain("control", key, what);
  };
  if (config.locale != "en" && config.locale != "it") complain("locale", "en or it, not " + config.locale);
  if (config.registration != "open" && config.registration != "closed") {
    complain("registration", "open or closed, not " + config.registration);
  }
  if (config.name.empty() || config.name.size() > 64) complain("name", "1 to 64 bytes");
  if (!is_url(config.site_url, {"http://", "https://"})) complain("site_url", "begins with http:// or https://");
  if (!is_url(config.rtmp_url, {"rtmp://", "rtmps://"})) complain("rtmp_url", "begins with rtmp://");
  if (!config.rtmps_url.empty() && !is_url(config.rtmps_url, {"rtmps://"})) {
    complain("rtmps_url", "begins with rtmps://, or is empty");
  }
  check_address(reader, "control", "packager", config.packager);
  if (config.upload_mib_max > config.user_mib_max) {
    complain("upload_mib_max", std::to_string(config.upload_mib_max) + " is over control.user_mib_max, " +
                                   std::to_string(config.user_mib_max));
  }
  if (const auto database = check_database(config.database, node); !database) {
    complain("database", database.error().message);
  }
}

}  // namespace ribalta::control
