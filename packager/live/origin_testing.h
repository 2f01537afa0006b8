// A whole live origin in one process, on a socket of its own, for tests: server, hub and a store in memory that
// outlives it, so that a test can kill the origin and begin another on what it left.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "core/http/client.h"
#include "core/internal_auth.h"
#include "core/media/cmaf_writer.h"
#include "core/media/media_testing.h"
#include "core/testing/run.h"
#include "packager/live/hub.h"
#include "packager/live/routes.h"

namespace ribalta::packager::testing {

/// An object store in memory that can be told to fail.
class MemoryStore : public ObjectStore {
 public:
  void fail_with(std::optional<Error> error) {
    const std::scoped_lock lock{mutex_};
    failure_ = std::move(error);
  }
  /// So many of the next writes throw.
  void throw_on_put(int times) {
    const std::scoped_lock lock{mutex_};
    throws_ = times;
  }
  /// Whole prefixes can't be removed any more, or again.
  void break_removals(bool broken) {
    const std::scoped_lock lock{mutex_};
    removals_broken_ = broken;
  }
  /// What a power cut leaves of a file.
  void cut(const std::string& key, std::size_t bytes) {
    const std::scoped_lock lock{mutex_};
    REQUIRE(objects_.contains(key));
    objects_[key].resize(bytes);
  }
  /// What was not written durably is empty now.
  void power_cut() {
    const std::scoped_lock lock{mutex_};
    for (auto& [key, bytes] : objects_) {
      if (!durable_.contains(key)) bytes.clear();
    }
  }
  [[nodiscard]] std::size_t writes() const {
    const std::scoped_lock lock{mutex_};
    return writes_;
  }
  [[nodiscard]] std::vector<std::string> keys() const {
    const std::scoped_lock lock{mutex_};
    std::vector<std::string> all;
    for (const auto& [key, bytes] : objects_) all.push_back(key);
    return all;
  }

  Result<void> put(std::string_view key, ByteSpan bytes) override {
    const std::scoped_lock lock{mutex_};
    REQUIRE(is_key(key));
    ++writes_;
    if (throws_ > 0) {
      --throws_;
      throw std::runtime_error("the store, says the test");
    }
    // A full disk still takes a name.
    const bool fits = failure_ && failure_->code == Code::no_space && bytes.empty();
    if (failure_ && !fits) return std::unexpected<Error>{*failure_};
    objects_[std::string{key}] = Bytes{bytes.begin(), bytes.end()};
    durable_.erase(std::string{key});
    return {};
  }
  Result<void> put_durable(std::string_view key, ByteSpan bytes) override {
    Result<void> done = put(key, bytes);
    const std::scoped_lock lock{mutex_};
    if (done) durable_.insert(std::string{key});
    return done;
  }
  Result<void> put_file_durable(std::string_view, const std::filesystem::path&) override { return unsupported(); }
  Result<std::unique_ptr<ObjectWriter>> create(std::string_view) override { return unsupported(); }
  Result<Bytes> get(std::string_view key, std::uint64_t bytes_max) const override {
    const std::scoped_lock lock{mutex_};
    const auto found = objects_.find(std::string{key});
    if (found == objects_.end()) return fail(Code::not_found, "no object", key);
    if (found->second.size() > bytes_max) return fail(Code::limit, "object", key);
    return found->second;
  }
  Result<std::unique_ptr<ObjectReader>> open(std::string_view) const override { return unsupported(); }
  Result<std::filesystem::path> local_path(std::string_view) const override { return unsupported(); }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix) const override {
    const std::scoped_lock lock{mutex_};
    std::vector<ObjectInfo> found;
    for (const auto& [key, bytes] : objects_) {
      if (key.starts_with(prefix)) found.push_back({key, bytes.size()});
    }
    return found;
  }
  Result<void> remove(std::string_view key) override {
    const std::scoped_lock lock{mutex_};
    objects_.erase(std::string{key});
    return {};
  }
  Result<void> remove_all(std::string_view prefix) override {
    const std::scoped_lock lock{mutex_};
    if (removals_broken_) return fail(Code::io, "the store, says the test");
    std::erase_if(objects_, [prefix](const auto& object) { return object.first.starts_with(prefix); });
    return {};
  }

 private:
  static bool is_key(std::string_view key) { return !key.empty() && key.front() != '/' && key.size() <= 512; }
  static std::unexpected<Error> unsupported() { return fail(Code::unsupported, "not in memory"); }
  mutable std::mutex mutex_;
  std::map<std::string, Bytes> objects_;
  std::set<std::string> durable_;
  std::optional<Error> failure_;
  std::size_t writes_ = 0;
  int throws_ = 0;
  bool removals_broken_ = false;
};

/// Hands one store on to a Node without giving it away.
class BorrowedStore : public ObjectStore {
 public:
  explicit BorrowedStore(ObjectStore& store) : store_(store) {}
  Result<void> put(std::string_view key, ByteSpan bytes) override { return store_.put(key, bytes); }
  Result<void> put_durable(std::string_view key, ByteSpan bytes) override { return store_.put_durable(key, bytes); }
  Result<void> put_file_durable(std::string_view key, const std::filesystem::path& file) override {
    return store_.put_file_durable(key, file);
  }
  Result<std::unique_ptr<ObjectWriter>> create(std::string_view key) override { return store_.create(key); }
  Result<Bytes> get(std::string_view key, std::uint64_t bytes_max) const override { return store_.get(key, bytes_max); }
  Result<std::unique_ptr<ObjectReader>> open(std::string_view key) const override { return store_.open(key); }
  Result<std::filesystem::path> local_path(std::string_view key) const override { return store_.local_path(key); }
  Result<std::vector<ObjectInfo>> list(std::string_view prefix) const override { return store_.list(prefix); }
  Result<void> remove(std::string_view key) override { return store_.remove(key); }
  Result<void> remove_all(std::string_view prefix) override { return store_.remove_all(prefix); }

 private:
  ObjectStore& store_;
};

/// One life of an origin. Its destructor is a kill: nothing is drained.
class Origin {
 public:
  explicit Origin(ObjectStore& store, LiveSettings settings = {}) {
    node_.role = "packager";
    node_.node_secret = "a secret of this test";
    node_.config.run = folder_.path();
    node_.loops = std::make_unique<LoopPool>(2);
    node_.store = std::make_unique<BorrowedStore>(store);
    address_.unix_path = folder_.path() / "packager.sock";
    hub_.emplace(node_, settings);
    REQUIRE(hub_->restore());
    add_bus_routes(router_, node_, *hub_);
    add_playback_routes(router_, *hub_);
    server_ = http::Server::listen(*node_.loops, address_, router_.handler(), {}, &node_.metrics).value();
    hub_->start();
    node_.loops->start();
    clients_.start();
  }
  ~Origin() {
    clients_.stop(std::chrono::milliseconds{0});
    node_.loops->stop(std::chrono::milliseconds{0});
    server_.reset();
    tcp_.reset();
    node_.loops.reset();  // waits for what runs on the disk pool: it uses the store
  }
  Origin(const Origin&) = delete;
  Origin& operator=(const Origin&) = delete;

  template <class T>
  T await(Task<T> task) {
    return ribalta::testing::run_on(clients_, std::move(task));
  }
  [[nodiscard]] http::Request request(std::string method, std::string target, std::string body = {}) const {
    http::Request made;
    made.fields.set(kNodeField, sign_internal(node_.node_secret, node_.id, method, target, wall_now()));
    made.method = std::move(method);
    made.target = std::move(target);
    made.body = std::move(body);
    return made;
  }
  http::Response call(http::Request request) {
    Result<http::Response> response = await(http::call(address_, std::move(request)));
    REQUIRE(response);
    return std::move(*response);
  }
  http::Response call(std::string method, std::string target, std::string body = {}) {
    return call(request(std::move(method), std::move(target), std::move(body)));
  }
  http::Response get(std::string target) {
    http::Request plain;
    plain.target = std::move(target);
    return call(std::move(plain));
  }
  std::unique_ptr<http::Upload> open_put(const std::string& stream, const std::string& track, std::int64_t epoch,
                                         bool source) {
    http::Request head = request("PUT", "/tracks/" + stream + "/" + track);
    head.fields.set("Ribalta-Epoch", std::to_string(epoch));
    if (source) head.fields.set("Ribalta-Source", "1");
    Result<std::unique_ptr<http::Upload>> upload = await(http::Upload::open(address_, std::move(head)));
    REQUIRE(upload);
    return std::move(*upload);
  }
  [[nodiscard]] const http::Address& address() const { return address_; }
  /// Also on TCP, for players that know no Unix sockets: `http://127.0.0.1:PORT`.
  std::string url() {
    if (!tcp_) {
      const http::Address any{.host = "127.0.0.1", .port = 0};
      tcp_ = http::Server::listen(*node_.loops, any, router_.handler(), {}, &node_.metrics).value();
    }
    return "http://127.0.0.1:" + std::to_string(tcp_->port());
  }
  void drain() {
    const auto drained = [](Hub& hub) -> Task<bool> {
      co_await hub.drain(std::chrono::seconds{5});
      co_return true;
    };
    await(drained(*hub_));
  }
  [[nodiscard]] std::string health() const { return hub_->health(); }
  [[nodiscard]] std::string metrics() const { return node_.metrics.text(); }

 private:
  ribalta::testing::TemporaryFolder folder_;
  LoopPool clients_{1};
  Node node_;
  http::Address address_;
  http::Router router_;
  std::optional<Hub> hub_;
  std::unique_ptr<http::Server> server_;
  std::unique_ptr<http::Server> tcp_;
};

/// A track's bytes, frame by frame: one chunk a frame, contents that tell track and time apart.
class TrackMaker {
 public:
  explicit TrackMaker(media::TrackConfig config, std::int64_t gop = 60) : config_(std::move(config)), gop_(gop) {}

  [[nodiscard]] Bytes init() const { return media::write_init(config_).value(); }
  /// Frames [from, to), counted from time 0 (video at 30 a second).
  [[nodiscard]] Bytes frames(std::int64_t from, std::int64_t to, std::int64_t origin = 0) const {
    Bytes all;
    for (std::int64_t i = from; i < to; ++i) {
      const std::string text = "frame " + std::to_string(i) + " of " + std::to_string(config_.timescale);
      const bool video = config_.kind == media::TrackKind::video;
      media::Sample sample;
      sample.duration = static_cast<std::uint32_t>(ticks());
      sample.dts = i * ticks();
      sample.sync = !video || (i - origin) % gop_ == 0;
      sample.data = as_bytes(text);
      const Bytes chunk = media::write_chunk(config_, static_cast<std::uint32_t>(i + 1), std::span{&sample, 1}).value();
      all.insert(all.end(), chunk.begin(), chunk.end());
    }
    return all;
  }
  [[nodiscard]] std::int64_t ticks() const { return config_.kind == media::TrackKind::video ? 3'000 : 1'024; }

 private:
  media::TrackConfig config_;
  std::int64_t gop_;
};

inline Bytes operator+(Bytes a, const Bytes& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

}  // namespace ribalta::packager::testing
