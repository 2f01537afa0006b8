// For tests of uploads: the upload door over real HTTP, a control plane that answers, a store that is as slow as a test
// wants, a client that breaks off anywhere, and disks of a few megabytes.
#pragma once

#include <doctest/doctest.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "core/json.h"
#include "core/testing/passing_store.h"
#include "ingest/testing/fakes.h"
#include "ingest/tus/tus_service.h"

namespace ribalta::ingest::testing {

using namespace std::chrono_literals;

using FieldList = std::vector<std::pair<std::string, std::string>>;

struct Reply {
  int status = 0;
  std::string text;  ///< head and body
  std::string field(std::string_view name) const {
    const std::size_t at = text.find("\r\n" + std::string{name} + ": ");
    if (at == std::string::npos) return {};
    const std::size_t begin = at + 4 + name.size();
    return text.substr(begin, text.find("\r\n", begin) - begin);
  }
};

/// One HTTP connection that a test may break off anywhere.
class Talk {
 public:
  explicit Talk(const std::filesystem::path& path) : socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    const timeval limit{20, 0};
    setsockopt(socket_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    REQUIRE(::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  }
  ~Talk() { close(socket_); }
  Talk(const Talk&) = delete;
  Talk& operator=(const Talk&) = delete;
  void send(std::string_view text) const {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }
  /// Sends no more, in the middle of whatever it was; returns once the other side has let go.
  void vanish() const {
    shutdown(socket_, SHUT_WR);
    reply();
  }
  Reply reply() const {
    Reply reply;
    char buffer[4096];
    ssize_t got = 0;
    while ((got = recv(socket_, buffer, sizeof buffer, 0)) > 0)
      reply.text.append(buffer, static_cast<std::size_t>(got));
    if (reply.text.size() > 12) reply.status = std::atoi(reply.text.c_str() + 9);
    return reply;
  }

 private:
  int socket_;
};

inline std::string head(std::string_view method, std::string_view path, const FieldList& fields, std::size_t length) {
  std::string text = std::string{method} + " " + std::string{path} + " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n";
  for (const auto& [name, value] : fields) text += name + ": " + value + "\r\n";
  return text + "Content-Length: " + std::to_string(length) + "\r\n\r\n";
}

/// Answers as the control plane would: one upload after the other. `session=good` is who they belong to,
/// `session=other` somebody else who is signed in, and nobody else may do anything.
struct ControlPlane {
  std::vector<std::string> uploads;
  std::atomic<bool> suspended{false};  ///< the account was, after its uploads began
  std::mutex mutex;
  http::Response answer(const FakeCall& call) {
    if (call.path.find("uploads/finished") != std::string::npos ||
        call.path.find("uploads/ended") != std::string::npos) {
      return http::Response::json(200, "{}");
    }
    if (call.body.find("session=other") != std::string::npos)
      return http::Response::error(403, "forbidden", "There is no such upload of yours.");
    if (call.body.find("session=good") == std::string::npos)
      return http::Response::error(401, "unauthorized", "Please sign in.");
    if (suspended) return http::Response::error(401, "not_signed_in", "This account is not open.");
    if (call.path.find("uploads/access") != std::string::npos) return http::Response::json(200, "{}");
    if (call.body.find("\"bytes\":999999") != std::string::npos)
      return http::Response::error(413, "quota", "Your space is full.");
    const std::scoped_lock lock{mutex};
    uploads.push_back(UploadId::random().text());
    return http::Response::json(
        200, "{\"user\":\"u\",\"video\":\"" + VideoId::random().text() + "\",\"upload\":\"" + uploads.back() + "\"}");
  }
};

/// A folder store whose durable moves take as long as a test wants.
class SlowStore : public ::ribalta::testing::PassingStore {
 public:
  using PassingStore::PassingStore;
  /// The next move into the store waits for `go_on`.
  void hold() {
    const std::scoped_lock lock{mutex_};
    held_ = true;
  }
  void go_on() {
    const std::scoped_lock lock{mutex_};
    held_ = false;
    changed_.notify_all();
  }
  /// Returns once a move is being held.
  void wait_moving() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return moving_; });
  }
  Result<void> put_file_durable(std::string_view key, const std::filesystem::path& file) override {
    {
      std::unique_lock lock{mutex_};
      moving_ = true;
      changed_.notify_all();
      changed_.wait(lock, [this] { return !held_; });
      moving_ = false;
    }
    return PassingStore::put_file_durable(key, file);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool held_ = false;
  bool moving_ = false;
};

/// A file system of its own, of so many KiB, over a folder until the end. Mounting is for root.
class SmallDisk {
 public:
  /// @return nothing where this process may not mount: the test then says that it was left out.
  static std::unique_ptr<SmallDisk> over(const std::filesystem::path& folder, std::size_t kib) {
    std::filesystem::create_directories(folder);
    if (::mount("tmpfs", folder.c_str(), "tmpfs", 0, size_option(kib).c_str()) != 0) return nullptr;
    return std::unique_ptr<SmallDisk>{new SmallDisk{folder}};
  }
  ~SmallDisk() { ::umount2(folder_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;
  void resize(std::size_t kib) const {
    REQUIRE(::mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT, size_option(kib).c_str()) == 0);
  }

 private:
  explicit SmallDisk(std::filesystem::path folder) : folder_(std::move(folder)) {}
  static std::string size_option(std::size_t kib) { return "size=" + std::to_string(kib) + "k"; }
  std::filesystem::path folder_;
};

struct House {
  TemporaryFolder folder;
  std::unique_ptr<SmallDisk> store_disk;  ///< below the object store, where one was wanted and may be had
  LoopPool loops{2};
  Metrics metrics;
  ControlPlane plane;
  FakeControl control{loops, folder.path() / "control.sock",
                      [this](const FakeCall& call) { return plane.answer(call); }};
  Rooms rooms{http::Address{.unix_path = (folder.path() / "control.sock").string()},
              http::Address{.unix_path = "/nonexistent"}, "secret of the test", NodeId::random()};
  std::unique_ptr<SlowStore> objects =
      std::make_unique<SlowStore>(std::move(*open_folder_store(folder.path() / "store")));
  tus::TusService service;
  http::Router router;
  std::unique_ptr<http::Server> server;
  std::filesystem::path socket = folder.path() / "ingest.sock";

  explicit House(std::chrono::milliseconds lifetime = 24h, std::size_t store_kib = 0)
      : store_disk{store_kib > 0 ? SmallDisk::over(folder.path() / "store", store_kib) : nullptr},
        service{rooms, *objects, {folder.path() / "uploads", lifetime}, metrics} {
    service.add_routes(router);
    REQUIRE(service.start(loops.loop(0)).has_value());
    server = std::move(*http::Server::listen(loops, http::Address{.unix_path = socket.string()}, router.handler()));
    loops.start();
  }
  ~House() { loops.stop(200ms); }  // its sweep never ends by itself

  Reply call(std::string_view method, std::string_view path, FieldList fields, std::string_view body = {}) const {
    fields.insert(fields.begin(), {{"Tus-Resumable", "1.0.0"}, {"Cookie", "session=good"}});
    const Talk talk{socket};
    talk.send(head(method, path, fields, body.size()) + std::string{body});
    return talk.reply();
  }
  std::string begin(std::size_t bytes) const {
    const Reply reply =
        call("POST", "/files/",
             {{"Upload-Length", std::to_string(bytes)}, {"Upload-Metadata", "filename YS5tcDQ=,title SGk="}});
    REQUIRE(reply.status == 201);
    return reply.field("Location");
  }
  Reply patch(std::string_view path, std::size_t offset, std::string_view body, FieldList more = {}) const {
    more.insert(more.begin(),
                {{"Upload-Offset", std::to_string(offset)}, {"Content-Type", "application/offset+octet-stream"}});
    return call("PATCH", path, more, body);
  }
  std::string stored(std::string_view path) const {
    const Result<Bytes> bytes = objects->get("uploads/" + std::string{path.substr(7)}, 100'000'000);
    return bytes ? std::string{as_text(*bytes)} : std::string{"(none)"};
  }
};

inline std::string noise(std::size_t bytes) {
  std::string text(bytes, '\0');
  std::uint32_t random = 1;
  for (char& c : text) c = static_cast<char>((random = random * 1664525 + 1013904223) >> 24);
  return text;
}

}  // namespace ribalta::ingest::testing
