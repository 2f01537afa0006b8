// The instance that the command speaks to, found by its endpoints.json, and its public API
// (control-plane/openapi.json).
#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <string_view>

#include "client/http.h"
#include "core/json.h"
#include "core/result.h"

namespace ribalta::client {

/// An API error as people see it.
struct Refusal {
  std::string code;     ///< for programs
  std::string message;  ///< a sentence
};
/// From an answer of 400 and above.
Refusal refusal_of(const http::Response& response);

class Instance {
 public:
  /// @error not_found: nothing runs here, in words; malformed.
  static Result<Instance> open(const std::filesystem::path& data);

  [[nodiscard]] const std::filesystem::path& data() const { return data_; }
  [[nodiscard]] const std::string& site() const { return site_; }  ///< without its last '/'
  [[nodiscard]] const std::string& rtmp() const { return rtmp_; }
  [[nodiscard]] const std::string& admin_token() const { return admin_token_; }
  /// An edge of another machine: no accounts or API of its own.
  [[nodiscard]] bool is_edge() const { return is_edge_; }
  /// On an edge: who it is there, and where the first node is. Else where other nodes come in, empty without --share.
  [[nodiscard]] const std::string& node_name() const { return node_name_; }
  [[nodiscard]] const std::string& node_address() const { return node_address_; }
  [[nodiscard]] const std::string& node_fingerprint() const { return node_fingerprint_; }

  /// A request to an URL of this site. It goes over the instance's own socket where there is one: the site's name may
  /// lead elsewhere from this machine, its certificate may be for another name, and a token need not cross a network.
  [[nodiscard]] HttpRequest request(std::string_view method, std::string_view url) const;
  /// The absolute URL of a path on this site, or of an URL that the server gave. @error malformed: of another site.
  [[nodiscard]] Result<std::string> url(std::string_view location) const;
  /// A call of the API, `/api/v1` and the path, with this token.
  [[nodiscard]] Result<http::Response> call(std::string_view method, std::string_view path, std::string_view token,
                                            std::string body = {}) const;
  /// A call as administrator that must answer 2xx. @error with the server's sentence.
  [[nodiscard]] Result<std::string> admin_call(std::string_view method, std::string_view path,
                                               std::string body = {}) const;

 private:
  std::filesystem::path data_;
  std::string site_;
  std::string rtmp_;
  std::string admin_token_;
  std::string socket_;
  std::string node_name_;
  std::string node_address_;
  std::string node_fingerprint_;
  bool is_edge_ = false;
};

/// A token that acts for an account: from RIBALTA_TOKEN, else kept from last time, else made with the admin token.
/// @error not_found: no such account; what the server says.
Result<std::string> user_token(const Instance& instance, const std::string& user);
/// The kept token did not open anything any more.
void forget_user_token(const Instance& instance, const std::string& user);

/// Where the command keeps what it must remember between runs: $XDG_STATE_HOME/ribalta, else ~/.local/state/ribalta,
/// else in the instance's data folder. Made with mode 0700.
Result<std::filesystem::path> state_folder(const Instance& instance);
/// Writes a small file whole or not at all, mode 0600.
Result<void> write_private(const std::filesystem::path& file, std::string_view text);
/// @error not_found.
Result<std::string> read_small(const std::filesystem::path& file);

}  // namespace ribalta::client
