#include "ingest/config.h"

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

Result<void> check(const IngestConfig& config) {
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    return fail(Code::malformed, "ingest.tls_cert and ingest.tls_key go together");
  }
  return {};
}

}  // namespace ribalta::ingest
