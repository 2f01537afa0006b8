// Who is at the node port: the other side of a TLS connection has shown by its handshake that it holds the key of its
// certificate (`ssl_verify_client optional_no_ca`), whoever signed it; the list of nodes says whose certificate that
// is. No request waits for the control plane, and a node that was removed is nobody from its next request on.
#pragma once

#include <string>
#include <vector>

#include "edge/nginx/nginx.h"
#include "edge/node_list.h"

namespace ribalta::edge {

class NodePort {
 public:
  NodePort(std::string file, ngx_log_t* log) : file_(std::move(file)), log_(log) {}
  /// The list as the file has it; read again when it changed. A file that is not there or makes no sense lists nobody.
  const std::vector<ListedNode>& nodes();

 private:
  void read();

  struct Stamp {
    dev_t device = 0;
    ino_t inode = 0;
    off_t bytes = -1;
    std::int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  std::string file_;  ///< empty: nobody
  ngx_log_t* log_;
  Stamp stamp_;
  std::vector<ListedNode> nodes_;
};

/// Adds $ribalta_certificate (SHA-256 of the client's certificate in hex; empty without one) and $ribalta_node (the
/// name of the node that it belongs to; empty: a stranger).
ngx_int_t add_node_variables(ngx_conf_t* cf);

}  // namespace ribalta::edge
