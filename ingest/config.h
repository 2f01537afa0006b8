// The section [ingest] of ribalta.toml, checked whole before anything starts.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>

#include "core/config.h"
#include "core/result.h"

namespace ribalta::ingest {

struct IngestConfig {
  std::string rtmp_address = "127.0.0.1";  ///< where both RTMP ports listen
  std::uint16_t rtmp_port = 1935;          ///< 0: any free one
  std::uint16_t rtmps_port = 1936;         ///< used where tls_cert and tls_key are given
  std::filesystem::path tls_cert;          ///< PEM, the whole chain; empty: no RTMPS
  std::filesystem::path tls_key;
  std::int64_t connections_max = 1'000;           ///< RTMP connections in all
  std::int64_t connections_per_address_max = 32;  ///< of one client address: a school behind one router, not a flood
  std::string control;                            ///< address of the control plane; empty: data/run/control.sock
  std::string packager;                           ///< address of the packager; empty: data/run/packager.sock
  std::chrono::milliseconds upload_lifetime{std::chrono::hours{24}};  ///< of an unfinished upload, from its last byte
};

void describe(ConfigReader& reader, IngestConfig& config);
/// What single fields can't tell (a certificate without a key, or that can't be read); complaints stay in the reader.
void check(const IngestConfig& config, ConfigReader& reader);

}  // namespace ribalta::ingest
