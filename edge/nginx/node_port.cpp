#include "edge/nginx/node_port.h"

#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>

#include <array>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include "edge/nginx/media.h"

namespace ribalta::edge {
namespace {

struct FreeCertificate {
  void operator()(X509* certificate) const { X509_free(certificate); }
};

/// SHA-256 of the certificate that the client showed, in hex; empty without TLS or without one.
std::string certificate_of(ngx_http_request_t* r) {
  if (r->connection->ssl == nullptr) return {};
  const std::unique_ptr<X509, FreeCertificate> certificate{SSL_get1_peer_certificate(r->connection->ssl->connection)};
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned int size = 0;
  if (!certificate || X509_digest(certificate.get(), EVP_sha256(), digest.data(), &size) != 1) return {};
  constexpr std::string_view kDigits{"0123456789abcdef"};
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += kDigits[digest[i] >> 4];
    hex += kDigits[digest[i] & 15];
  }
  return hex;
}

std::string node_of(ngx_http_request_t* r) {
  if (worker() == nullptr) return {};
  const std::string certificate = certificate_of(r);
  return std::string{find_node(worker()->node_port.nodes(), certificate).value_or("")};
}

using GetText = std::string (*)(ngx_http_request_t*);

template <GetText get>
ngx_int_t get_variable(ngx_http_request_t* r, ngx_http_variable_value_t* value, uintptr_t) {
  return guarded(r->connection->log, ngx_int_t{NGX_ERROR}, [&] { return set_value(r, value, get(r)); });
}

}  // namespace

const std::vector<ListedNode>& NodePort::nodes() {
  if (file_.empty()) return nodes_;
  struct stat found{};
  Stamp stamp;
  if (::stat(file_.c_str(), &found) == 0) {
    stamp = {.device = found.st_dev,
             .inode = found.st_ino,
             .bytes = found.st_size,
             .changed_ns = std::int64_t{found.st_mtim.tv_sec} * 1'000'000'000 + found.st_mtim.tv_nsec};
  }
  if (std::exchange(stamp_, stamp) != stamp) read();
  return nodes_;
}

void NodePort::read() {
  nodes_.clear();
  std::ifstream file{file_, std::ios::binary};
  if (!file) return;
  const std::string text{std::istreambuf_iterator<char>{file}, {}};
  Result<std::vector<ListedNode>> nodes = parse_node_list(text);
  if (!nodes) {
    ngx_log_error(NGX_LOG_ERR, log_, 0, "ribalta: %s: no node may come in", nodes.error().message.c_str());
    return;
  }
  nodes_ = std::move(*nodes);
}

ngx_int_t add_node_variables(ngx_conf_t* cf) {
  struct Named {
    ngx_str_t name;
    ngx_http_get_variable_pt get;
  };
  const Named variables[] = {
      {ngx_string("ribalta_certificate"), get_variable<certificate_of>},
      {ngx_string("ribalta_node"), get_variable<node_of>},
  };
  for (const Named& named : variables) {
    ngx_str_t name = named.name;
    ngx_http_variable_t* variable = ngx_http_add_variable(cf, &name, 0);
    if (variable == nullptr) return NGX_ERROR;
    variable->get_handler = named.get;
  }
  return NGX_OK;
}

}  // namespace ribalta::edge
