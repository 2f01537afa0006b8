// A machine for tests of the edge: nginx with the real configuration and module, Redis, origins, an API; each in a
// folder of its own, each can be stopped, killed and started again. Sockets only, so that runs don't collide.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "core/http/client.h"
#include "core/http/server.h"
#include "core/testing/run.h"
#include "core/tokens.h"

namespace ribalta::edge::testing {

/// Tries until it is so; false after 20 s. For what other processes do, which send no event.
bool until(const std::function<bool()>& condition);

/// The id of a video or a stream that nobody else has.
std::string new_id();
std::string cache_status(const http::Response& response);
bool is_hit(const http::Response& response);
/// `token` with the last character of its expiry field changed: one that says it lives longer.
std::string altered(std::string token);

/// A child process that dies with the test.
class Process {
 public:
  explicit Process(std::vector<std::string> command);
  ~Process() { kill_and_wait(9); }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;
  void signal(int number) const;
  void kill_and_wait(int number);
  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] std::vector<pid_t> children() const;

 private:
  pid_t pid_ = -1;
};

/// An origin (or API) that answers everything and remembers what it was asked. The body begins with its name.
///   …missing…: 404     …slow…: after 300 ms     …short.m3u8: max-age=1     …none…: without Cache-Control
class Origin {
 public:
  Origin(LoopPool& loops, std::string socket, std::string name);
  ~Origin();
  Origin(const Origin&) = delete;
  Origin& operator=(const Origin&) = delete;
  [[nodiscard]] std::string address() const { return "unix:" + socket_; }
  [[nodiscard]] std::vector<http::RequestHead> requests() const;
  [[nodiscard]] std::size_t count(std::string_view in_target) const;
  [[nodiscard]] http::RequestHead last() const;

 private:
  Task<void> answer(http::Exchange& exchange);
  std::string socket_;
  std::string name_;
  mutable std::mutex mutex_;
  std::vector<http::RequestHead> requests_;
  std::unique_ptr<http::Server> server_;
};

class Machine {
 public:
  /// `first`: an edge of that machine, whose node port is open; it has no origins of its own.
  explicit Machine(const Machine* first = nullptr);
  ~Machine();
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  http::Response get(std::string target, http::Fields fields = {}) {
    return ask("GET", std::move(target), std::move(fields));
  }
  http::Response ask(std::string method, std::string target, http::Fields fields = {}, std::string body = {});
  /// All at once; an answer that did not come has status 0.
  std::vector<http::Response> get_many(const std::vector<std::string>& targets);
  /// From the socket for this machine alone.
  std::string status(const std::string& page);
  std::uint64_t metric(const std::string& line_start);

  /// Replaces text in nginx's configuration; takes effect with the next start or reload.
  void configure(const std::string& from, const std::string& to) const;
  void start_redis();
  void start_nginx();
  void set(const std::string& key, const std::string& value);
  void publish(const std::string& tag);
  void publish_purge(const std::string& tag);
  /// The same, published again until it is heard: to Redis a killed worker is a subscriber for a while, too.
  void insist_on_purge(const std::string& tag);
  /// Until every worker has a connection to Redis, and the one for purges stands.
  void wait_for_redis();

  std::string token(std::string_view prefix, std::int64_t expires_in_s = 3'600) const;
  /// The same signed with the shared key that the machine accepts, too.
  std::string shared_token(std::string_view prefix) const;

  /// nginx listens for other nodes on run/node.sock, from its next start on. They are who `list_nodes` says.
  void open_node_port() const;
  /// What the control plane writes: a node of that name with this certificate (a file), or nobody.
  void list_node(const std::string& name, const std::string& certificate_file) const;
  /// A key pair and its certificate in NAME_key.pem and NAME_cert.pem of `folder`.
  static void make_certificate(const std::string& folder, const std::string& name);
  /// A request to the node port with curl, with a certificate where there is one. @return status, blank, body; `000 `:
  /// no answer.
  std::string ask_node_port(const std::string& target, const std::string& certificate = {},
                            const std::string& more = {}) const;
  [[nodiscard]] std::string log(const std::string& name) const;
  [[nodiscard]] std::string path(const std::string& name) const { return (folder_.path() / name).string(); }

  ribalta::testing::TemporaryFolder folder_;
  LoopPool loops{2};
  std::unique_ptr<Process> redis;
  std::unique_ptr<Process> nginx;
  std::unique_ptr<Origin> packager;  ///< the default origin
  std::unique_ptr<Origin> other;
  std::unique_ptr<Origin> api;

 private:
  void write_configuration() const;
  void write_from_template(const std::string& source, const std::string& name,
                           const std::map<std::string, std::string>& more) const;
  std::string redis_command(const std::vector<std::string>& words);
  SigningKey key_{.id = "s1", .seed = std::string(32, 's')};
  TokenKey shared_key_{.id = "k1", .secret = std::string(32, 'k')};
};

}  // namespace ribalta::edge::testing
