// Calls between daemons are signed, so that a process that reaches an internal socket or port is not thereby trusted:
//   Ribalta-Node: {node id};{unix ms};{hmac of "METHOD\nTARGET\nnode id\nunix ms" with the node secret}
// Signatures older than kSignatureAge are refused. Bodies are not covered: internal links are Unix sockets, loopback or
// TLS.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "core/http/http.h"
#include "core/ids.h"
#include "core/result.h"
#include "core/units.h"

namespace ribalta {

inline constexpr std::string_view kNodeField = "Ribalta-Node";
inline constexpr std::chrono::seconds kSignatureAge{60};

/// The value of the field for a call.
std::string sign_internal(std::string_view node_secret, NodeId node, std::string_view method, std::string_view target,
                          WallTime now);
/// @error unauthorized: no field, another secret, or too old.
Result<NodeId> verify_internal(std::string_view node_secret, const http::RequestHead& request, WallTime now);

}  // namespace ribalta
