// For tests: a whole control plane on a Unix socket, with a clock that the test sets, a database of its own and a
// packager that notes what it is told.
#pragma once

#include <doctest/doctest.h>

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "control-plane/api.h"
#include "control-plane/background.h"
#include "control-plane/control.h"
#include "core/http/client.h"
#include "core/http/server.h"
#include "core/testing/database.h"
#include "core/testing/run.h"

namespace ribalta::control::testing {

using ribalta::testing::run_on;
using ribalta::testing::TemporaryFolder;

template <class T>
T must(Result<T> result) {
  REQUIRE_MESSAGE(result, (result ? "" : result.error().message));
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Lines that somebody was told, to look at or to wait for.
class Notes {
 public:
  void add(std::string line);
  /// Since the last call.
  std::vector<std::string> take();
  /// Returns once the line is among them (false: not within 10 s).
  bool wait_for(std::string_view line);

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::vector<std::string> lines_;
};

/// What the packager was asked, and what it answers.
class FakePackager {
 public:
  FakePackager(LoopPool& loops, const http::Address& address);
  ~FakePackager();
  FakePackager(const FakePackager&) = delete;
  FakePackager& operator=(const FakePackager&) = delete;

  /// `PUT /videos/x/access {"access":"public"}` lines since the last call.
  std::vector<std::string> heard() { return state_->notes.take(); }
  bool wait_for(std::string_view line) { return state_->notes.wait_for(line); }

 private:
  /// Of the calls under way, too: it may be taken away while one waits for its body.
  struct State {
    Notes notes;
    std::atomic<unsigned> status{200};
  };
  static Task<void> take_note(std::shared_ptr<State> state, http::Exchange& exchange);
  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::unique_ptr<http::Server> server_;

 public:
  std::atomic<unsigned>& status = state_->status;
};

/// Keeps what it is told.
class FakeRedis : public redis::Client {
 public:
  Task<Result<redis::Reply>> command(std::vector<std::string> arguments) override;
  void on_connected(std::function<void()> callback) override { connected_ = std::move(callback); }
  [[nodiscard]] bool connected() const override { return !down; }
  void close() override {}

  /// `SET video:x:access public` lines since the last call.
  std::vector<std::string> heard() { return notes_.take(); }
  bool wait_for(std::string_view line) { return notes_.wait_for(line); }
  /// The next command of this line waits for `release`; `wait_held` returns once it does (false: not within 10 s).
  void hold(std::string line);
  bool wait_held();
  void release();
  /// As after a reconnect.
  void reconnect() {
    if (connected_) connected_();
  }
  std::atomic<bool> down{false};
  /// So many of the next commands throw.
  std::atomic<int> throws{0};

 private:
  Notes notes_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::string held_line_;
  bool held_ = false;
  std::function<void()> connected_;
};

struct HouseOptions {
  std::string registration = "open";
  std::string database;  ///< empty: SQLite in the data folder
  std::int64_t user_mib_max = 1000;
  std::int64_t drafts_max = 3;
};

/// One control plane. Unless `run_background` is called, nothing happens by itself: tests call `sweep` and `errands`.
class House {
 public:
  explicit House(HouseOptions options = {});
  ~House();
  House(const House&) = delete;
  House& operator=(const House&) = delete;

  http::Response call(http::Request request);
  /// A signed call as another daemon makes it.
  http::Response internal(std::string_view method, std::string_view path, std::string body);
  void sweep();
  /// Runs the errands that are due.
  void errands();
  void run_background();
  void pass_ms(std::int64_t ms) { now_ += ms; }
  /// So many of the next looks at the clock throw.
  std::atomic<int> clock_throws{0};
  /// Returns once they have (false: not within 10 s).
  bool wait_clock_thrown();
  [[nodiscard]] std::int64_t now() const { return now_; }
  /// Another ingest or worker process from now on.
  void restart_caller() { caller_ = NodeId::random(); }
  std::string secret(std::string_view name) const;

  TemporaryFolder folder;
  Node node;
  http::Router router;
  std::shared_ptr<Control> control;
  std::shared_ptr<Background> background;
  std::unique_ptr<FakePackager> packager;
  std::shared_ptr<FakeRedis> redis = std::make_shared<FakeRedis>();

 private:
  std::atomic<std::int64_t> now_{1'790'000'000'000};
  NodeId caller_ = NodeId::random();
  http::Address address_;
  std::unique_ptr<http::Server> server_;
};

/// A browser: keeps its cookie, sends the CSRF token that it was told.
class Browser {
 public:
  explicit Browser(House& house) : house_(&house) {}

  http::Response send(std::string_view method, std::string_view path, std::string body = {});
  /// Signs up and stays signed in.
  Browser& sign_up(std::string_view name, std::string_view password = "correct horse");
  std::string cookie;
  std::string csrf;
  std::string address = "192.0.2.1";
  std::string bearer;  ///< instead of the cookie

 private:
  House* house_;
};

/// Text at a path of fields (`user.name`, `items.0.id`); fails the test when it is not there.
std::string text_at(const http::Response& response, std::string_view path);
std::int64_t number_at(const http::Response& response, std::string_view path);
bool has(const http::Response& response, std::string_view path);
/// The error's code, or the body when it is none.
std::string code_of(const http::Response& response);

/// Holds an answer against the schema that openapi.json has for it; empty when it fits, else what does not.
std::string schema_complaint(std::string_view method, std::string_view path_pattern, const http::Response& response);

/// How lucia signs up and in.
inline constexpr std::string_view kLogin = R"({"name":"lucia","password":"correct horse"})";
/// Sends a call and holds its answer against the document; `pattern` where the path has parameters.
http::Response checked_at(Browser& browser, std::string_view method, std::string_view pattern, const std::string& path,
                          std::string body = {});
http::Response checked(Browser& browser, std::string_view method, const std::string& path, std::string body = {});

/// The farm's and ingest's side of an upload.
struct Uploaded {
  std::string video;
  std::string upload;
};
std::string authorise_body(const Browser& browser, std::int64_t bytes, std::string_view replaces = "");
Uploaded draft(House& house, const Browser& browser, std::string_view replaces = "");
void store_upload(House& house, const Uploaded& uploaded);
http::Response lease(House& house, std::string_view kinds = R"(["live","vod"])");
/// What completes a leased job.
std::string result_body(const http::Response& job);
/// A video that plays: its id.
std::string ready(House& house, const Browser& browser);
std::string publish_body(const std::string& key);

}  // namespace ribalta::control::testing
