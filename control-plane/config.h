// The section [control] of ribalta.toml.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/config.h"

namespace ribalta::control {

struct Config {
  std::string database;  ///< `sqlite:FILE` or `postgresql:…`; empty: DATA/control/control.sqlite
  std::string name = "Ribalta";
  std::string locale = "en";
  std::string registration = "closed";
  std::string site_url = "http://127.0.0.1:8080/";
  std::string rtmp_url = "rtmp://127.0.0.1:1935/live";
  std::string rtmps_url;
  std::string packager;  ///< address of the packager's socket; empty: RUN/packager.sock

  std::int64_t upload_mib_max = 4096;
  std::int64_t user_mib_max = 51'200;
  std::int64_t drafts_max = 20;
  std::int64_t duration_min_max = 240;
  std::int64_t side_max = 4096;
  std::int64_t fps_max = 1000;  ///< over 60, frames are left out

  std::int64_t live_rungs_max = 2;
  std::int64_t live_cores = 0;
  std::int64_t live_jobs_per_worker = 0;
  std::int64_t live_keep_min = 10;
  bool creators_by_default = true;

  [[nodiscard]] std::int64_t upload_bytes_max() const { return upload_mib_max << 20; }
  [[nodiscard]] std::int64_t user_bytes_max() const { return user_mib_max << 20; }
  [[nodiscard]] bool registration_open() const { return registration == "open"; }
  [[nodiscard]] bool tls() const { return site_url.starts_with("https:"); }
};

/// Describes and reads the section; complaints stay in the reader.
void read_config(ConfigReader& reader, Config& config);
/// What one field alone does not show; complaints stay in the reader.
void check_config(const Config& config, const NodeConfig& node, ConfigReader& reader);

}  // namespace ribalta::control
