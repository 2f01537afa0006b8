#include "ingest/config.h"

#include <unistd.h>

#include <boost/asio/ip/address.hpp>
#include <cerrno>
#include <cstring>
#include <utility>

#include "ingest/door/wire.h"

namespace ribalta::ingest {

void describe(ConfigReader& reader, IngestConfig& config) {
  using namespace std::chrono_literals;
  reader.section("ingest")
      .text("rtmp_address", config.rtmp_address, "address where the RTMP ports listen")
      .port("rtmp_port", config.rtmp_port, "TCP port for RTMP")
      .port("rtmps_port", config.rtmps_port, "TCP port for RTMPS")
      .path("tls_cert", config.tls_cert, "certificate chain for RTMPS (PEM)")
      .path("tls_key", config.tls_key, "its private key (PEM)")
      .integer("connections_max", config.connections_max, 1, 20'000, "RTMP connections in all")
      .integer("connections_per_address_max", config.connections_per_address_max, 1, 20'000,
               "RTMP connections of one address")
      .text("control", config.control, "address of the control plane")
      .text("packager", config.packager, "address of the packager")
      .duration("upload_lifetime_s", config.upload_lifetime, 60s, 30 * 24h, "how long an unfinished upload is kept");
}

void check(const IngestConfig& config, ConfigReader& reader) {
  boost::system::error_code error;
  asio::ip::make_address(config.rtmp_address, error);
  if (error) reader.complain("ingest", "rtmp_address", "not an address to listen on: " + config.rtmp_address);
  check_address(reader, "ingest", "control", config.control);
  check_address(reader, "ingest", "packager", config.packager);
  if (config.tls_cert.empty() && config.tls_key.empty()) return;
  if (config.tls_cert.empty())
    return reader.complain("ingest", "tls_key", "goes with ingest.tls_cert, which is missing");
  if (config.tls_key.empty())
    return reader.complain("ingest", "tls_cert", "goes with ingest.tls_key, which is missing");
  if (config.rtmp_port == config.rtmps_port && config.rtmp_port != 0) {
    reader.complain("ingest", "rtmps_port", std::to_string(config.rtmps_port) + " is ingest.rtmp_port, too");
  }
  for (const auto& [key, file] : {std::pair{"tls_cert", config.tls_cert}, std::pair{"tls_key", config.tls_key}}) {
    if (::access(file.c_str(), R_OK) != 0) {
      return reader.complain("ingest", key, file.string() + " can't be read: " + std::strerror(errno));
    }
  }
  const Result<std::unique_ptr<TlsContext>> tls = TlsContext::open(config.tls_cert, config.tls_key);
  if (!tls) reader.complain("ingest", "tls_cert", tls.error().message);
}

}  // namespace ribalta::ingest
